"""The protocol of a kind of task: everything that the project asks of one.

A kind is a folder beside this file, with a subclass of `Kind` in it, and a line in `tasks.kinds`.
Nothing outside that folder asks which kind a task is of. The order below is that of a run: the
user's files, examples, windows, batches, losses, predictions, metrics, and texts for people.
Methods of the kinds take the types that are given here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from data.rows import Row, read_rows
from data.vocabulary import Vocabulary
from model.config import EncoderConfig
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.losses import distillation_kl, weighted_cross_entropy
from model.tasks import read_batch
from tasks.formats.rows import Columns, Example, Format, text_cell
from tasks.reading import Asked, BeamSettings, Reading
from tasks.windows import Windows

Arrays = Mapping[str, Array]
"""A batch: the columns of `Windows.gather` and `valid`, bool [rows]: whether a row counts."""
Fetched = Mapping[str, Sequence[np.ndarray]]
"""Outputs of a model by name: an array for each window, without padding."""
Prediction = dict[str, Any]
"""Of an example: the `prediction` and how sure the model is; `tasks.score` adds its `id` and, where
it is known, the right answer (`gold`)."""
ClassNames = tuple[str, ...]
"""The classes by name, in the order of the model's outputs."""
NEVER = -1e9
"""A logit whose probability is 0 in float32, and that gives no NaN at any temperature."""


class Mistake(NamedTuple):
    """Badness of a prediction (0: it is right), the right one, and the one made instead."""

    badness: float
    right: str
    predicted: str


class ClassScore(NamedTuple):
    """Precision, recall and F1 of one class."""

    precision: float
    recall: float
    f1: float
    count: int
    """Of the right answers."""


class Ranking(NamedTuple):
    """A list of the worst mistakes: its title, what `badness` measures, and its number format."""

    title: str
    measure: str
    number: str


@dataclass(frozen=True)
class Kind(ABC):
    """Kind of task, with everything that depends on it; its fields are its settings."""

    name: ClassVar[str]
    """Also that of the task that reads a user's own files."""
    row: ClassVar[str]
    """The columns of a row of such files, in a phrase."""
    own: ClassVar[Mapping[str, Any]]
    """The fields of that `Task` beside name and kind."""
    formats: ClassVar[Mapping[str, tuple[Format, Columns]]] = {}
    """Formats of a user's files beside tables, and the meaning of their cells, by suffix; "*": of
    all other suffixes."""
    fields: ClassVar[tuple[str, ...]] = ()
    """The fields of `TaskDataConfig` that name columns of a user's files."""
    named_outputs: ClassVar[bool] = False
    """True if the outputs have the names of labels, which data and model may order apart."""
    class_target: ClassVar[str | None] = None
    """The column of `targets` that holds classes, where `loss` is the cross-entropy of them."""
    single_class: ClassVar[bool] = False
    """True if an example is of one class, so that it counts in a confusion matrix."""
    model: ClassVar[type[Any]]
    """The model, of `model.tasks`: encoder and head."""
    has_head: ClassVar[bool] = True
    """False if the model has no parameters beside those of its encoder: any encoder is one."""
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask", "token_type_ids")
    """The columns of a batch that a prediction needs."""
    forms: ClassVar[tuple[str, ...]] = ()
    """The forms of `soft_loss`, if there are several."""
    compares: ClassVar[tuple[str, ...]] = ()
    """The outputs and columns of which the losses need those of the whole batch. Where it is shared
    among devices, the batch holds them under names that begin with `all_`, and the `place` of each
    row in them."""
    per_token: ClassVar[bool] = False
    """True if the outputs have an entry for each token of the window."""
    metrics: ClassVar[Mapping[str, Callable[..., float]]]
    """The metrics that a task may name: functions of (gold, predicted), 1 for a perfect model."""
    titles: ClassVar[Mapping[str, str]]
    """The names in print of `metrics` and of those of `breakdown`."""
    unscaled: ClassVar[tuple[str, ...]] = ()
    """Those of `titles` that are not shares of 1, such as errors in the unit of the data."""
    ranking: ClassVar[Ranking]
    """How mistakes are listed."""
    collapse: ClassVar[str] = ""
    """The meaning of the metric `collapsed`, in a sentence, for kinds that measure it."""
    noun: ClassVar[str]
    """A model of this kind in a sentence, such as "a classifier"."""
    asks: ClassVar[tuple[str, ...]] = ()
    """The fields of `Asked` that mean something to such a model."""
    reads: ClassVar[tuple[str, ...]] = ()
    """The fields of `Reading` that matter, beside `max_length`."""
    shares: ClassVar[str] = "text"
    """The part of an example that is its group."""
    writes: ClassVar[bool] = False
    """True if the model, a `Seq2Seq`, writes texts: its losses are over the vocabulary."""
    longest_window: ClassVar[int | None] = None
    """Tokens of a window of a user's text, at most; None: as many as the model has positions."""

    def protocol(self) -> str:
        """The way in which the metrics are computed, in a phrase, where authors differ in it."""
        return ""

    # Examples and windows

    @abstractmethod
    def columns(self, fields: Mapping[str, Any]) -> Columns:
        """The meaning of the cells of a user's table, from the names that `fields` lists."""

    def classes(self, examples: Sequence[Any]) -> ClassNames:
        """All classes that occur in labelled examples, for a new model."""
        return ()

    def group(self, example: Any) -> str:
        """The text by which examples belong together: they stay on one side of a split."""
        return self.quote(example)

    def texts(self, example: Any) -> tuple[str, ...]:
        """All texts of a training example, of which a new vocabulary is learned."""
        return (self.quote(example),)

    def classes_of(self, example: Any) -> Collection[str]:
        """The classes of an example, of which both sides of a split should have some."""
        return ()

    def check_examples(self, examples: Sequence[Any], labels: ClassNames) -> None:
        """Raises InputError if training examples with these labels leave nothing to learn."""
        if self.named_outputs and len(labels) == 1:
            raise InputError(
                f"all examples have the label {labels[0]!r}: there is nothing to learn"
            )

    def of_labels(self, labels: ClassNames) -> "Kind":
        """This kind for these labels, whose names may mean something."""
        return self

    def remarks(self, examples: Sequence[Any], labels: ClassNames) -> tuple[str, ...]:
        """Sentences on the labels of training examples, for a person to check."""
        return ()

    def of_examples(self, examples: Sequence[Any]) -> "Kind":
        """This kind, with the settings that a user's own examples ask for."""
        return self

    def of_reading(self, reading: Reading) -> "Kind":
        """This kind, for texts that are read in this way."""
        return self

    def of_vocabulary(self, vocabulary: Vocabulary) -> "Kind":
        """This kind, for a model that reads and writes the tokens of this vocabulary."""
        return self

    @staticmethod
    @abstractmethod
    def to_windows(
        examples: Sequence[Any],
        vocabulary: Vocabulary,
        labels: ClassNames,
        length: int,
        reading: Reading,
    ) -> Windows:
        """The examples as windows of at most `length` tokens, with the targets of the loss.

        Raises:
            InputError: an example or a setting does not fit.
        """

    # Model and losses

    def outputs(self, labels: ClassNames) -> ClassNames:
        """Names of the model's outputs, from a task's labels; none where the model sets them."""
        return labels

    def serves(self, config: EncoderConfig) -> bool:
        """True if a model of class `model` with this configuration is of this kind."""
        return True

    def new_model(
        self, config: EncoderConfig, checkpoint: Checkpoint | None = None, *, rngs: nnx.Rngs
    ) -> Any:
        """A model with random weights; `checkpoint` is the one that its encoder is taken from."""
        return self.model(config, rngs=rngs)

    def window_length(self, model: Any) -> int:
        """Tokens of a window of a user's text, if nobody says how many."""
        positions = model.config.max_positions
        return min(positions, self.longest_window or positions)

    def to_config(self, config: EncoderConfig) -> EncoderConfig:
        """The configuration of a model that learns this, with what its users have to know."""
        return config

    def of_config(self, config: EncoderConfig) -> "Kind":
        """This kind, with the settings that a model has learned, where its configuration says."""
        return self

    def of_model(self, model: Any) -> "Kind | None":
        """This kind as a model has learned it; None if the model is not of this kind."""
        if type(model) is not self.model or not self.serves(model.config):
            return None
        return self.of_labels(model.config.labels).of_config(model.config)

    def before_training(self, model: Any, length: int) -> None:
        """Writes into a model what its users have to know: it learns windows of `length` tokens."""
        model.config = self.to_config(model.config)

    def of_form(self, form: str) -> "Kind":
        """This kind with a `soft_loss` of this form.

        Raises:
            InputError: it has none.
        """
        raise InputError(f"--loss.form {form} means nothing to {self.noun}: leave it out")

    def of_decoder(self, layers: str | None, depth: int | None) -> "Kind":
        """This kind, for new models whose decoder has these layers, or is so deep.

        Raises:
            InputError: something is given, and its models have no decoder.
        """
        if layers is not None or depth is not None:
            given = f"--decoder-layers {layers}" if depth is None else f"{depth} layers that write"
            raise InputError(f"{given}: {self.noun} has no decoder, leave it out")
        return self

    def of_search(self, search: BeamSettings) -> "Kind":
        """This kind, with these settings of the search for a text.

        Raises:
            InputError: something is given, and its models write no texts.
        """
        if search != BeamSettings():
            raise InputError(f"--search.* means nothing to {self.noun}, which writes no texts")
        return self

    def ask_teacher(
        self, checkpoint: Checkpoint, examples: Sequence[Any], model: Any, length: int
    ) -> dict[str, np.ndarray] | None:
        """The columns of a teacher's outputs, a row for each example, if it reads no windows.

        None: it is a model of this kind and reads the windows of `model`, which learns from it.

        Raises:
            InputError: the checkpoint is no teacher of this kind.
        """
        return None

    def forward(
        self, model: nnx.Module, batch: Arrays, rngs: nnx.Rngs | None = None
    ) -> dict[str, Any]:
        """The model's outputs for the rows of a batch, by name; `rngs` for dropout, in training."""
        return {"logits": read_batch(model, batch, rngs=rngs).logits}

    @abstractmethod
    def targets(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of a row of the columns that the loss of a model with these `outputs` needs.

        In windows of `length` tokens. Also of `inputs`, if they are not [length].
        """

    def where(self, batch: Arrays) -> Bool[Array, "..."]:
        """The places over which both losses are averaged, also for arrays [micro, rows, ...]."""
        return batch["valid"]

    @abstractmethod
    def loss(self, output: Arrays, batch: Arrays) -> Float[Array, "..."]:
        """The loss of `forward`'s output on the labels, at every place of `where`."""

    def class_loss(
        self, output: Arrays, batch: Arrays, weights: Float[Array, "..."], smoothing: float
    ) -> Float[Array, "..."]:
        """`loss` with a weight for each of the classes that `class_counts` counts, and smoothing.

        Only where there is a `class_target`.
        """
        labels = jnp.maximum(batch[self.class_target or ""], 0)
        return weighted_cross_entropy(output["logits"], labels, weights, smoothing)

    def class_counts(
        self, targets: Int[np.ndarray, "..."], outputs: int
    ) -> Int[np.ndarray, "... classes"]:
        """The number of each class in all of a `class_target`, for a model with these outputs."""
        return np.bincount(targets[targets >= 0], minlength=outputs)

    def soft_loss(self, output: Arrays, batch: Arrays, temperature: float) -> Float[Array, "..."]:
        """The loss against a teacher at every place of `where`: T^2 KL of the classes.

        The batch holds the teacher's outputs, each name with `teacher_` before it.
        """
        return distillation_kl(output["logits"], batch["teacher_logits"], temperature)

    # Predictions and metrics

    def fetch(self, model: nnx.Module, batch: Arrays) -> dict[str, Array]:
        """Arrays that predictions are made of, computed on the device for the rows of a batch."""
        return self.forward(model, batch)

    def fetched(self, length: int, outputs: int, width: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of a row of what `fetch` returns.

        Of a model with so many `outputs`, classes or values, and hidden states so wide.
        """
        shape = (length, outputs) if self.per_token else (outputs,)
        return {"logits": jax.ShapeDtypeStruct(shape, jnp.float32)}

    @abstractmethod
    def predict(
        self, examples: Sequence[Any], windows: Windows, fetched: Fetched, labels: ClassNames
    ) -> list[Prediction]:
        """A prediction for each example, without its id."""

    @abstractmethod
    def gold(self, example: Any) -> Any:
        """The right `prediction`; None where that is not known."""

    def measure(
        self, names: Sequence[str], labels: ClassNames, gold: Any, predicted: Any
    ) -> dict[str, float]:
        """The metrics of these names; `labels` in the data set's order."""
        return {name: self.metrics[name](gold, predicted) for name in names}

    def losses(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Further metrics of predictions with `gold` that every evaluation of a run has."""
        return {}

    def breakdown(self, labels: ClassNames, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Further metrics of predictions with `gold`, for the report of a split."""
        return {}

    def items(self, answers: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
        """All that is right or wrong by itself in the answers to a split: its class, its place."""
        return ()

    # Texts for people

    @abstractmethod
    def mistake(self, prediction: Prediction) -> Mistake:
        """The error in a prediction with `gold`."""

    @abstractmethod
    def quote(self, example: Any) -> str:
        """The text of an example, in one line."""

    def as_asked(self, asked: Asked) -> "Kind":
        """This kind, with the settings that a user gives with a text.

        Raises:
            InputError: something is missing that this kind needs.
        """
        return self

    def rows(self, file: Path) -> Iterator[Row]:
        """The rows of a user's table, to ask about; its name ends in one of `ROW_SUFFIXES`."""
        return read_rows(file)

    def ask(self, row: Row, asked: Asked) -> tuple[str, Asked]:
        """The text in a row of a user's table, and `asked` with what else the row has.

        Raises:
            InputError: a cell is missing, or holds no text.
        """
        return text_cell(row, ("text",)), asked

    @abstractmethod
    def example(self, id: str, text: str, asked: Asked, vocabulary: Vocabulary) -> Example:
        """The example that a user's text is."""

    @abstractmethod
    def describe(
        self, prediction: Prediction, text: str, asked: Asked, vocabulary: Vocabulary
    ) -> dict[str, Any]:
        """A prediction for programs, the likeliest first; places are those in the text."""

    @abstractmethod
    def lines(self, description: Mapping[str, Any]) -> Iterator[str]:
        """The result of `describe`, for people."""


def percent(share: float) -> str:
    """A share as per cent, of constant width."""
    return f"{100 * share:5.1f} %"
