"""Kind of task: a class for a text or a pair of texts, and what all kinds of texts share."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from data.rows import Row
from data.vocabulary import Vocabulary
from model.config import EncoderConfig, ProblemType
from model.hf.checkpoint import Checkpoint
from model.losses import cross_entropy
from model.tasks import DocumentClassification, SequenceClassification, read_batch
from tasks.formats.labels import count_sentence, doubts, in_order
from tasks.formats.rows import text_cell
from tasks.kind import Arrays, ClassNames, Kind, Mistake, Prediction, Ranking, percent
from tasks.reading import Asked, Reading
from tasks.texts.encode import all_or_none, encode_texts
from tasks.texts.examples import TextColumns, TextExample, unknown_label
from tasks.texts.hierarchy import encode_side_by_side
from tasks.texts.metrics import (
    accuracy,
    auc,
    collapsed,
    combine_windows,
    f1,
    macro_f1,
    matthews,
)
from tasks.windows import Windows, check_text_room


class TextKind(Kind):
    """Base of the kinds that read texts or pairs: examples, windows and the model."""

    problem: ClassVar[ProblemType]
    """What `EncoderConfig.problem` calls it."""
    fields = ("text_field", "pair_field", "label_field")
    model = SequenceClassification
    reads = ("long", "overlap", "most_windows")

    def columns(self, fields: Mapping[str, Any]) -> TextColumns:
        return TextColumns(**cells_by_flags(fields))

    def to_windows(self, examples, vocabulary, labels, length, reading) -> Windows:
        """As `encode_texts` has it, with the column `label` where examples have labels."""
        windows = encode_texts(examples, vocabulary, length, reading)
        if all_or_none([example.label is not None for example in examples], "a label"):
            windows.values["label"] = self.encode_labels(examples, labels)[windows.example]
        return windows

    @abstractmethod
    def encode_labels(self, examples: Sequence[TextExample], labels: ClassNames) -> np.ndarray:
        """The labels of examples as the loss needs them, an entry or a row for each.

        Raises:
            InputError: a label is none of `labels`.
        """

    def serves(self, config: EncoderConfig) -> bool:
        return config.problem == self.problem

    def to_config(self, config: EncoderConfig) -> EncoderConfig:
        """With the `problem_type`, where the number of outputs would say another."""
        return config if self.serves(config) else config.replace(problem_type=self.problem)

    def gold(self, example: TextExample) -> Any:
        return example.label

    def group(self, example: TextExample) -> str:
        """Of pairs the first text."""
        return example.text

    def quote(self, example: TextExample) -> str:
        return example.text if example.pair is None else f"{example.text} / {example.pair}"

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        text, asked = super().ask(row, asked)
        if "pair" not in row.cells:
            return text, asked
        return text, asked.of_row(row, "pair", text_cell(row, ("pair",)))

    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> TextExample:
        return TextExample(id, text, asked.pair)


def cells_by_flags(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `TextColumns`, from the columns that a user names."""
    pair = fields["pair_field"]
    return {
        "text": (fields["text_field"],),
        "pair": (pair,) if pair else (),
        "label": (fields["label_field"],),
        "id": ("id",),
        "own": True,
    }


class Classification(TextKind):
    """A class for each text, by its likelihood."""

    name = "classification"
    row = "text, perhaps pair, label"
    problem = "single_label_classification"
    own = {"title": "your classification", "metrics": ("accuracy", "macro_f1")}
    named_outputs = single_class = True
    class_target = "label"
    metrics = {"accuracy": accuracy, "f1": f1, "macro_f1": macro_f1, "matthews": matthews}
    titles = {
        "accuracy": "accuracy",
        "f1": "F1",
        "macro_f1": "macro F1",
        "matthews": "Matthews correlation",
        "auc": "area under the ROC curve",
    }
    ranking = Ranking("The errors it was surest of", "probability", "{:.3f}")
    collapse = "all examples are given the same class"
    noun = "a classifier"
    asks = ("pair", "top")

    def of_reading(self, reading: Reading) -> "Classification":
        return Hierarchical(reading.most_windows) if reading.long == "hierarchy" else self

    def of_model(self, model: Any) -> Kind | None:
        """Also for a model that reads documents in windows."""
        if type(model) is DocumentClassification:
            return Hierarchical(model.windows.position.num_embeddings)
        return super().of_model(model)

    def classes(self, examples: Sequence[TextExample]) -> ClassNames:
        """Numbers by their size, others by the alphabet."""
        return in_order(str(e.label) for e in examples if e.label is not None)

    def classes_of(self, example: TextExample) -> tuple[str, ...]:
        return (str(example.label),)

    def remarks(self, examples: Sequence[TextExample], labels: ClassNames) -> tuple[str, ...]:
        """The number of examples of each class, and doubts about the names."""
        counts = Counter(e.label for e in examples)
        return (count_sentence({name: counts[name] for name in labels}), *doubts(labels))

    def encode_labels(self, examples, labels) -> np.ndarray:
        places = {name: place for place, name in enumerate(labels)}
        for example in examples:
            if example.label not in places:
                raise unknown_label(example.label, labels, f"example {example.id}")
        return np.array([places[example.label] for example in examples], np.int32)

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        return {"label": jax.ShapeDtypeStruct((), jnp.int32)}

    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, " rows"]:
        return cross_entropy(output["logits"], batch["label"])

    def predict(self, examples, windows, fetched, labels) -> list[Prediction]:
        """Each with the `probabilities` of all classes."""
        from scipy.special import softmax  # scipy takes a second to import

        logits = combine_windows(np.stack(fetched["logits"]), windows.example)
        return [
            {
                "prediction": labels[shares.argmax()],
                "probabilities": dict(zip(labels, map(float, shares), strict=True)),
            }
            for shares in softmax(logits, axis=-1)
        ]

    def measure(self, names, labels, gold, predicted) -> dict[str, float]:
        """Also `collapsed`, 1 where all examples got the same class."""
        right, guessed = (np.array([labels.index(n) for n in side]) for side in (gold, predicted))
        values = super().measure(names, labels, right, guessed)
        return {**values, "collapsed": float(collapsed(guessed))}

    def breakdown(self, labels, predictions) -> dict[str, float]:
        """Of two classes the F1 and the area under the ROC curve, by the second as the positive."""
        if len(labels) != 2:
            return {}
        right, guessed = (
            np.array([labels.index(p[side]) for p in predictions])
            for side in ("gold", "prediction")
        )
        shares = [p["probabilities"][labels[1]] for p in predictions]
        return {
            "f1": f1(right, guessed),
            **({} if collapsed(right) else {"auc": auc(right, shares)}),
        }

    def items(self, answers: Sequence[str]) -> Iterable[tuple[str, int]]:
        return ((name, place) for place, name in enumerate(answers))

    def mistake(self, prediction: Prediction) -> Mistake:
        gold, predicted = prediction["gold"], prediction["prediction"]
        wrong = predicted != gold
        return Mistake(prediction["probabilities"][predicted] if wrong else 0.0, gold, predicted)

    def describe(self, prediction, text, asked, vocabulary) -> dict[str, Any]:
        ranked = sorted(prediction["probabilities"].items(), key=lambda pair: -pair[1])
        label, probability = ranked[0]
        return {
            "label": label,
            "probability": probability,
            "probabilities": dict(ranked[: asked.top]),
        }

    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        for label, probability in description["probabilities"].items():
            yield f"  {percent(probability)}  {label}"


@dataclass(frozen=True)
class Hierarchical(Classification):
    """A class for each document, of whose windows a small encoder reads the vectors."""

    windows: int = Reading.most_windows
    """Of a document, at most."""

    model = DocumentClassification

    def of_reading(self, reading: Reading) -> Classification:
        return Classification().of_reading(reading)

    def new_model(
        self, config: EncoderConfig, checkpoint: Checkpoint | None = None, *, rngs: nnx.Rngs
    ) -> DocumentClassification:
        return DocumentClassification(config, windows=self.windows, rngs=rngs)

    def to_windows(self, examples, vocabulary, labels, length, reading) -> Windows:
        """As `encode_side_by_side` has it, with the column `label` where examples have labels."""
        check_text_room(length, 3)
        overlap = reading.shared(length - 2)
        windows = encode_side_by_side(examples, vocabulary, length, overlap, self.windows)
        if all_or_none([example.label is not None for example in examples], "a label"):
            windows.values["label"] = self.encode_labels(examples, labels)
        return windows

    def forward(self, model, batch, rngs=None) -> dict[str, Any]:
        texts = {name: jnp.moveaxis(batch[name], 1, 2) for name in self.inputs}
        return {"logits": read_batch(model, texts, rngs=rngs).logits}

    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        types = {"input_ids": jnp.int32, "attention_mask": jnp.bool_, "token_type_ids": jnp.int32}
        texts = {n: jax.ShapeDtypeStruct((length, self.windows), types[n]) for n in self.inputs}
        return {**texts, **super().targets(length, outputs)}
