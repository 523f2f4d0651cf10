"""The protocol of a kind of task: everything that the project asks of one.

A kind is a folder beside this file, with a subclass of `Kind` in it, and a line in `tasks.kinds`.
Nothing outside that folder asks which kind a task is of. The order below is that of a run: the
user's files, examples, windows, batches, losses, predictions, metrics, and texts for people.
Methods of the kinds take the types that are given here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from data.vocabulary import Vocabulary
from model.config import EncoderConfig
from model.tasks import read_batch
from tasks.formats.rows import Columns, Example, Format
from tasks.reading import Asked, Reading
from tasks.windows import Windows

Arrays = Mapping[str, Array]
"""A batch: the columns of `Windows.gather` and `valid`, bool [rows]: whether a row counts."""
Fetched = Mapping[str, Sequence[np.ndarray]]
"""What a model computes, by name: an array for each window, without padding."""
Prediction = dict[str, Any]
"""Of an example: its `id`, the `prediction`, how sure the model is, and, where it is known, what is
right (`gold`)."""


class Mistake(NamedTuple):
    """How bad it is (0: there is none), what is right, and what was predicted instead."""

    badness: float
    right: str
    predicted: str


class Ranking(NamedTuple):
    """A list of the worst mistakes: its title, what `badness` measures, and its number format."""

    title: str
    measure: str
    number: str


@dataclass(frozen=True)
class Kind(ABC):
    """What a model is to say about an example; fields of subclasses are settings of the kind."""

    name: ClassVar[str]
    """Also that of the task that reads a user's own files."""
    own: ClassVar[Mapping[str, Any]]
    """The fields of that `Task` beside name and kind."""
    formats: ClassVar[Mapping[str, tuple[Format, Columns]]] = {}
    """Formats of a user's files beside tables, and what their cells mean, by suffix; "*": of all
    other suffixes."""
    fields: ClassVar[tuple[str, ...]] = ()
    """The fields of `TaskDataConfig` that name columns of a user's files."""
    has_classes: ClassVar[bool] = False
    """Whether the model's outputs are classes with names, which data and model may order apart."""
    single_class: ClassVar[bool] = False
    """Whether an example is of one class, so that a confusion matrix shows which is taken for
    which."""
    model: ClassVar[type[Any]]
    """The model, of `model.tasks`: encoder and head."""
    inputs: ClassVar[tuple[str, ...]] = ("input_ids", "attention_mask", "token_type_ids")
    """The columns of a batch that a prediction needs."""
    per_token: ClassVar[bool] = False
    """Whether what is fetched has an entry for each token of the window."""
    metrics: ClassVar[Mapping[str, Callable[[Any, Any], float]]]
    """The metrics that a task may name: functions of (gold, predicted), 1 for a perfect model."""
    titles: ClassVar[Mapping[str, str]]
    """What `metrics` and those of `breakdown` are called in print."""
    ranking: ClassVar[Ranking]
    """How mistakes are listed."""
    noun: ClassVar[str]
    """A model of this kind in a sentence, such as "a classifier"."""
    asks: ClassVar[tuple[str, ...]] = ()
    """The fields of `Asked` that mean something to such a model."""
    longest_window: ClassVar[int | None] = None
    """Tokens of a window of a user's text, at most; None: as many as the model has positions."""

    # Examples and windows

    @abstractmethod
    def columns(self, fields: Mapping[str, Any]) -> Columns:
        """What the cells of a user's table mean, from the names that `fields` lists."""

    def classes(self, examples: Sequence[Any]) -> tuple[str, ...]:
        """All classes that occur in labelled examples, in the order of a new model's outputs."""
        return ()

    @abstractmethod
    def reads(self, reading: Reading) -> tuple[str, ...]:
        """The fields of `Reading` that matter, beside `max_length`."""

    @abstractmethod
    def to_windows(
        self,
        examples: Sequence[Any],
        vocabulary: Vocabulary,
        labels: tuple[str, ...],
        *,
        length: int,
        reading: Reading,
    ) -> Windows:
        """The examples as windows of at most `length` tokens, with what is to be learned.

        `labels` are the classes in the model's order.

        Raises:
            InputError: an example or a setting does not fit.
        """

    # Model and losses

    def outputs(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the model's outputs, from a task's labels; none where the model sets them."""
        return labels

    def serves(self, config: EncoderConfig) -> bool:
        """Whether a model of class `model` with this configuration is of this kind."""
        return True

    def forward(self, model: nnx.Module, batch: Arrays, rngs: nnx.Rngs | None = None) -> Any:
        """What the losses look at, for the rows of a batch; `rngs` for dropout, in training."""
        return read_batch(model, batch, rngs=rngs)

    @abstractmethod
    def targets(self, length: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of a row of the columns that the loss needs, in windows of `length` tokens."""

    def where(self, batch: Arrays) -> Bool[Array, "..."]:
        """The places over which both losses are averaged, also for arrays [micro, rows, ...]."""
        return batch["valid"]

    @abstractmethod
    def loss(self, output: Any, batch: Arrays) -> Float[Array, "..."]:
        """The loss on the labels at every place of `where`."""

    @abstractmethod
    def soft_loss(self, output: Any, batch: Arrays, temperature: float) -> Float[Array, "..."]:
        """The loss against a teacher at every place of `where`.

        The batch holds what was fetched of the teacher, each name with `teacher_` before it.
        """

    # Predictions and metrics

    def fetch(self, model: nnx.Module, batch: Arrays) -> dict[str, Array]:
        """What predictions are made of, computed on the device for the rows of a batch."""
        return {"logits": self.forward(model, batch).logits}

    def fetched(self, length: int, outputs: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of a row of what `fetch` returns, for `outputs` classes or values."""
        shape = (length, outputs) if self.per_token else (outputs,)
        return {"logits": jax.ShapeDtypeStruct(shape, jnp.float32)}

    @abstractmethod
    def predict(
        self,
        examples: Sequence[Any],
        windows: Windows,
        fetched: Fetched,
        labels: tuple[str, ...],
    ) -> list[Prediction]:
        """A prediction for each example; `labels` are the classes in the model's order."""

    @abstractmethod
    def gold(self, example: Any) -> Any:
        """What `prediction` should be; None where that is not known."""

    def measure(
        self, names: Sequence[str], labels: tuple[str, ...], gold: Any, predicted: Any
    ) -> dict[str, float]:
        """The metrics of these names; `labels` are the classes in the data set's order."""
        return {name: self.metrics[name](gold, predicted) for name in names}

    def breakdown(self, gold: list[Any], predicted: list[Any]) -> dict[str, float]:
        """Further metrics, of parts of a split, for its report."""
        return {}

    # Texts for people

    @abstractmethod
    def mistake(self, prediction: Prediction) -> Mistake:
        """What is wrong in a prediction with `gold`."""

    @abstractmethod
    def quote(self, example: Any) -> str:
        """The text of an example, in one line."""

    def as_asked(self, asked: Asked) -> "Kind":
        """This kind, with the settings that a user gives with a text.

        Raises:
            InputError: something is missing that this kind needs.
        """
        return self

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
        """What `describe` returned, for people."""


def percent(share: float) -> str:
    """A share as per cent, of constant width."""
    return f"{100 * share:5.1f} %"
