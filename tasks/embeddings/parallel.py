"""Kind of task: the same vector for a text and its translation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from tasks.embeddings.examples import PairColumns
from tasks.embeddings.kind import Pairs
from tasks.kind import Prediction, Ranking
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
    own: ClassVar[Mapping[str, Any]] = {**Pairs.own, "title": "your parallel texts"}
    fields = ("text_field", "pair_field")
    translated = True
    ranking = Ranking("The translations whose text comes last", "others before it", "{:.0f}")
    reads = ()

    def columns(self, fields: Mapping[str, Any]) -> PairColumns:
        """`text` and `translation`, or the columns that the flags name."""
        text, pair = (fields[name] for name in self.fields)
        return PairColumns((text,), (pair or "translation",), (), own=True)

    def of_reading(self, reading: Reading) -> "ParallelTexts":
        return self

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each the rank of the text that a translation is of, among all texts."""
        turned = [replace(e, query=e.document, document=e.query) for e in examples]
        vectors = [each[[1, 0, *range(2, len(each))]] for each in fetched["vectors"]]
        return super().predict(turned, windows, {"vectors": vectors}, labels)
