"""Kind of task: the same vector for a text and its translation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tasks.embeddings.examples import PairColumns, PairExample
from tasks.embeddings.kind import Pairs
from tasks.embeddings.metrics import rank, text_right_at_1, translation_right_at_1
from tasks.kind import Mistake, Prediction, Ranking
from tasks.reading import Reading


@dataclass(frozen=True)
class ParallelTexts(Pairs):
    """A vector for each text that it shares with its translation (Reimers and Gurevych 2020).

    A teacher reads the text, a student both: with `--loss.task 0` all that it learns is that both
    have the teacher's vector.
    """

    query_length: int | None = None
    form: str = "vectors"

    name = "parallel"
    row = "text, translation"
    own: ClassVar[Mapping[str, Any]] = {
        **Pairs.own,
        "title": "your parallel texts",
        "metrics": ("text_right_at_1", "translation_right_at_1"),
    }
    fields = ("text_field", "pair_field")
    translated = True
    metrics: ClassVar[Mapping[str, Callable[..., float]]] = {
        "text_right_at_1": text_right_at_1,
        "translation_right_at_1": translation_right_at_1,
    }
    titles: ClassVar[Mapping[str, str]] = {
        "text_right_at_1": "accuracy@1 of texts for translations",
        "translation_right_at_1": "accuracy@1 of translations for texts",
    }
    ranking = Ranking(
        "The texts that are farthest from their translation", "others between", "{:.0f}"
    )
    reads = ()

    def columns(self, fields: Mapping[str, Any]) -> PairColumns:
        """`text` and `translation`, or the columns that the flags name."""
        text, pair = (fields[name] for name in self.fields)
        return PairColumns((text,), (pair or "translation",), (), own=True)

    def of_reading(self, reading: Reading) -> "ParallelTexts":
        return self

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each two ranks: of the text that a translation is of, and of a text's translation.

        Among all texts, and all translations, with those that come first.
        """
        vectors = fetched["vectors"]
        turned = [replace(e, query=e.document, document=e.query) for e in examples]
        texts, first_texts = rank(turned, [each[[1, 0, *range(2, len(each))]] for each in vectors])
        others, first_others = rank(examples, vectors)
        return [
            {
                "prediction": [int(text), int(other)],
                "right": [example.query, example.document],
                "first": [first_text, first_other],
            }
            for example, text, other, first_text, first_other in zip(
                examples, texts, others, first_texts, first_others, strict=True
            )
        ]

    def gold(self, example: PairExample) -> list[int]:
        """The best ranks."""
        return [1, 1]

    def mistake(self, prediction: Prediction) -> Mistake:
        """That of the direction in which more come before the right one."""
        ranks = prediction["prediction"]
        worse = int(ranks[1] > ranks[0])
        before = ranks[worse] - prediction["gold"][worse]
        return Mistake(before, prediction["right"][worse], prediction["first"][worse])
