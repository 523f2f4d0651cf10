"""Kind of task: translation, or any other text for a text (a model writes it)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from data.rows import Row
from data.vocabulary import Vocabulary
from data.wordpiece import bert_casing
from model.decoder.seq2seq import Seq2Seq
from tasks.formats.rows import text_cell
from tasks.kind import ClassNames, Mistake, Prediction, Ranking
from tasks.reading import Asked
from tasks.writing.bleu import bleu, check_bleu, sentence_bleu, signature
from tasks.writing.examples import TranslationColumns, TranslationExample
from tasks.writing.kind import Writing


@dataclass(frozen=True)
class Translation(Writing):
    """A translation of a text, measured by BLEU."""

    name = "translation"
    row = "source, target"
    own: ClassVar[Mapping[str, Any]] = {
        "title": "your translations",
        "metrics": ("bleu",),
        "learning_rate": 1e-4,
        "batch_size": 64,
        "epochs": 10.0,
        "max_length": 64,
    }
    longest_target = 64
    metrics: ClassVar[Mapping[str, Any]] = {"bleu": bleu}
    titles: ClassVar[Mapping[str, str]] = {"bleu": "BLEU", **Writing.titles}
    ranking = Ranking(
        "The translations farthest from their reference", "1 - BLEU of the sentence", "{:.3f}"
    )

    @property
    def lowercase(self) -> bool:
        """True if the vocabulary has no capitals: BLEU is then that of texts without."""
        casing = bert_casing(self.vocabulary.tokenizer) if self.vocabulary else None
        return casing is not None and casing.lowercase

    def protocol(self) -> str:
        return f"sacreBLEU's {signature(self.lowercase, 1)}"

    def columns(self, fields: Mapping[str, Any]) -> TranslationColumns:
        """`source` and `target`, or the columns that the flags name."""
        source, target = (fields[name] for name in self.fields)
        named = (target,) if target else ("target",)
        return TranslationColumns((source, "source"), named, own=True)

    def source(self, example: TranslationExample) -> str:
        return example.source

    def before_training(self, model: Seq2Seq, length: int) -> None:
        check_bleu()  # evaluation needs it, and the first comes after all text is read
        super().before_training(model, length)

    def measure(self, names, labels: ClassNames, gold, predicted) -> dict[str, float]:
        measured = super().measure((), labels, gold, predicted)
        return {"bleu": bleu(gold, predicted, lowercase=self.lowercase), **measured}

    def mistake(self, prediction: Prediction) -> Mistake:
        """By how much the BLEU of the sentence falls short of 1."""
        references, text = prediction["gold"], prediction["prediction"]
        short = 1 - sentence_bleu(references, text, lowercase=self.lowercase)
        return Mistake(short if short > 1e-9 else 0.0, " / ".join(references), text or "-")

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        return text_cell(row, ("text", "source")), asked

    def example(
        self, id: str, text: str, asked: Asked, vocabulary: Vocabulary
    ) -> TranslationExample:
        return TranslationExample(id, text)
