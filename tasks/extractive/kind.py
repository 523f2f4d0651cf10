"""Kind of task: a summary made of sentences of the document (BertSum, Liu and Lapata 2019)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from data.rows import Row
from data.vocabulary import Vocabulary
from model.config import EncoderConfig
from model.losses import cross_entropy
from model.tasks import TokenClassification
from tasks.extractive.baselines import BASELINE_TITLES, baseline_scores, baselines
from tasks.extractive.choose import likeliest
from tasks.extractive.encode import encode_documents
from tasks.extractive.examples import DocumentColumns, DocumentExample, document_of
from tasks.extractive.pool import mean_of_sentences
from tasks.extractive.rouge import PROTOCOL, ROUGE_METRICS, ROUGE_TITLES, check_rouge, rouge
from tasks.extractive.split import sentence_spans, split_sentences
from tasks.kind import Arrays, Kind, Mistake, Prediction, Ranking, percent
from tasks.reading import Asked
from tasks.windows import Windows

LABELS = ("left out", "in the summary")
_MOST = 3  # of a model, where neither it nor its task says how many


@dataclass(frozen=True)
class Extractive(Kind):
    """Sentences with the highest probability of being in the summary, in the document's order."""

    sentences: int = _MOST
    """Those of a summary, at most. A user's own summaries decide, see `of_examples`."""

    name = "extractive"
    row = "text, summary"
    own = {
        "title": "your summaries",
        "metrics": tuple(ROUGE_TITLES),
        "learning_rate": 5e-5,
        "batch_size": 16,
        "max_length": 512,
    }
    fields = ("text_field", "label_field")
    model = TokenClassification
    inputs = (*Kind.inputs, "sentence_tokens")
    per_token = True
    metrics = ROUGE_METRICS
    titles = {**ROUGE_TITLES, **BASELINE_TITLES}
    ranking = Ranking("The summaries farthest from their reference", "1 - ROUGE-1", "{:.3f}")
    noun = "a summariser"
    asks = ("top",)
    shares = "document"

    def protocol(self) -> str:
        return PROTOCOL

    def columns(self, fields: Mapping[str, Any]) -> DocumentColumns:
        """`text` and `summary`, or the columns that the flags name."""
        text, summary = (fields[name] for name in self.fields)
        return DocumentColumns((text, "document", "sentences"), (summary, "summary"), own=True)

    def of_examples(self, examples: Sequence[DocumentExample]) -> "Extractive":
        """With as many sentences as the summaries have at the mean."""
        counts = [len(split_sentences(e.references[0])) for e in examples if e.references]
        return replace(self, sentences=max(1, round(fmean(counts)))) if counts else self

    def to_windows(self, examples, vocabulary, labels, length, reading) -> Windows:
        return encode_documents(examples, vocabulary, length, self.sentences)

    def outputs(self, labels) -> tuple[str, ...]:
        return LABELS

    def serves(self, config: EncoderConfig) -> bool:
        return config.summary_sentences is not None

    def to_config(self, config: EncoderConfig) -> EncoderConfig:
        return config.replace(summary_sentences=self.sentences)

    def of_config(self, config: EncoderConfig) -> "Extractive":
        return replace(self, sentences=config.summary_sentences or self.sentences)

    def before_training(self, model: Any, length: int) -> None:
        check_rouge()  # evaluation needs it, and the first comes after all text is read
        super().before_training(model, length)

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        column = jax.ShapeDtypeStruct((length,), jnp.int32)
        return {"in_summary": column, "sentence_tokens": column}

    def forward(self, model, batch, rngs=None) -> dict[str, Array]:
        """The logits of each sentence at its [CLS]: the mean of those of its tokens."""
        logits = super().forward(model, batch, rngs)["logits"]
        return {"logits": mean_of_sentences(logits, batch["sentence_tokens"])}

    def where(self, batch: Arrays) -> Bool[Array, "*micro rows length"]:
        """The [CLS] of each sentence."""
        return (batch["in_summary"] >= 0) & batch["valid"][..., None]

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, "rows length"]:
        """Binary cross-entropy, of the difference of both logits."""
        return cross_entropy(output["logits"], jnp.maximum(batch["in_summary"], 0))

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each with the `sentences` it is made of and their `probabilities`.

        Where references are known also with what `lead` and `oracle` would give, and the `title`.
        """
        chances = [np.zeros(len(example.sentences)) for example in examples]
        columns = fetched["logits"], windows.notes["sentence"], windows.example
        for scores, sentence, number in zip(*columns, strict=True):
            [starts] = np.nonzero(sentence >= 0)
            left_out, taken = scores[starts].astype(np.float64).T
            chances[number][sentence[starts]] = 1 / (1 + np.exp(left_out - taken))
        return [
            self._prediction(example, each) for example, each in zip(examples, chances, strict=True)
        ]

    def _prediction(
        self, example: DocumentExample, chances: Float[np.ndarray, " sentences"]
    ) -> Prediction:
        places = likeliest(example.sentences, chances, self.sentences)
        found: Prediction = {
            "prediction": "\n".join(example.sentences[place] for place in places),
            "sentences": list(places),
            "probabilities": [float(chances[place]) for place in places],
        }
        if example.references is None:
            return found
        return found | baselines(example, self.sentences)

    def gold(self, example: DocumentExample) -> list[str] | None:
        return None if example.references is None else list(example.references)

    def breakdown(self, labels, predictions: Sequence[Prediction]) -> dict[str, float]:
        """The scores of the baselines, where all documents have one."""
        return baseline_scores(predictions)

    def mistake(self, prediction: Prediction) -> Mistake:
        """By how much ROUGE-1 falls short of 1."""
        references, summary = tuple(prediction["gold"]), prediction["prediction"]
        short = 1 - rouge(references, summary)["rouge1"]
        return Mistake(max(short, 0.0), " / ".join(references), summary)

    def quote(self, example: DocumentExample) -> str:
        return " ".join(example.sentences)

    def as_asked(self, asked: Asked) -> "Extractive":
        return replace(self, sentences=asked.top or self.sentences)

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        """The document, also one that is a list of sentences."""
        return document_of(row), asked

    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> DocumentExample:
        return DocumentExample(id, split_sentences(text))

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        spans = [sentence_spans(text)[place] for place in prediction["sentences"]]
        return {
            "summary": prediction["prediction"],
            "sentences": [
                {"text": text[start:end], "start": start, "end": end, "probability": chance}
                for (start, end), chance in zip(spans, prediction["probabilities"], strict=True)
            ],
        }

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for sentence in description["sentences"]:
            yield f"  {percent(sentence['probability'])}  {sentence['text']}"
