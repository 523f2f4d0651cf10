"""Kind of task: a summary that a model writes, in its own words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from data.rows import Row
from data.vocabulary import Vocabulary
from model.decoder.seq2seq import Seq2Seq
from tasks.extractive.baselines import BASELINE_TITLES, baseline_scores, baselines
from tasks.extractive.examples import DocumentColumns, DocumentExample, document_of
from tasks.extractive.rouge import PROTOCOL, ROUGE_METRICS, ROUGE_TITLES, check_rouge, rouge
from tasks.extractive.split import split_sentences
from tasks.kind import Mistake, Prediction, Ranking
from tasks.reading import Asked
from tasks.writing.kind import Writing


@dataclass(frozen=True)
class Summaries(Writing):
    """A summary of a document, measured by ROUGE."""

    sentences: int = 3
    """Of the baselines, which are made of sentences of the document."""

    name = "summaries"
    row = "text, summary"
    own: ClassVar[Mapping[str, Any]] = {
        "title": "your summaries, written",
        "metrics": tuple(ROUGE_TITLES),
        "learning_rate": 5e-5,
        "batch_size": 16,
        "epochs": 10.0,
        "max_length": 512,
    }
    fields = ("text_field", "label_field")
    longest_target = 128
    metrics: ClassVar[Mapping[str, Callable[..., float]]] = ROUGE_METRICS
    titles: ClassVar[Mapping[str, str]] = {**ROUGE_TITLES, **BASELINE_TITLES, **Writing.titles}
    ranking = Ranking("The summaries farthest from their reference", "1 - ROUGE-1", "{:.3f}")
    shares = "document"

    def protocol(self) -> str:
        return PROTOCOL

    def columns(self, fields: Mapping[str, Any]) -> DocumentColumns:
        """`text` and `summary`, or the columns that the flags name."""
        text, summary = (fields[name] for name in self.fields)
        return DocumentColumns((text, "document", "sentences"), (summary, "summary"), own=True)

    def source(self, example: DocumentExample) -> str:
        return " ".join(example.sentences)

    def before_training(self, model: Seq2Seq, length: int) -> None:
        check_rouge()  # evaluation needs it, and the first comes after all text is read
        super().before_training(model, length)

    def baselines(self, example: DocumentExample) -> dict[str, str]:
        return baselines(example, self.sentences)

    def breakdown(self, labels, predictions: Sequence[Prediction]) -> dict[str, float]:
        """The scores of the baselines."""
        return baseline_scores(predictions)

    def mistake(self, prediction: Prediction) -> Mistake:
        """By how much ROUGE-1 falls short of 1."""
        references, summary = tuple(prediction["gold"]), prediction["prediction"]
        short = 1 - rouge(references, summary)["rouge1"]
        return Mistake(max(short, 0.0), " / ".join(references), summary or "-")

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        return document_of(row), asked

    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> DocumentExample:
        return DocumentExample(id, split_sentences(text))
