"""Entry of a task: where its examples are, of which kind they are, and how it is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from data.vocabulary import Vocabulary
from tasks.formats.published import PublishedFiles
from tasks.formats.rows import Columns, Example
from tasks.kind import ClassNames, Kind
from tasks.reading import Reading
from tasks.windows import Windows

HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}


@dataclass(frozen=True)
class Task:
    """Task to learn, and its data."""

    name: str
    title: str
    kind: Kind
    metrics: tuple[str, ...]
    """Of `Kind.metrics`. The task's score is their mean, as the paper reports it."""
    labels: ClassNames = ()
    """The classes by name; empty where the training data say which there are, and for values and
    answers."""
    columns: Columns | None = None
    """The meaning of the cells of a row, in the published files and on the hub. None where the data
    are a user's own."""
    published: PublishedFiles | None = None
    """The files as the authors gave them out."""
    hub: str | None = None
    """The set on the hub, `owner/name[:config][@revision]`."""
    hub_splits: Mapping[str, str] = field(default_factory=lambda: HUB_SPLITS)
    """The hub's name of each split. Without a `dev` split one is taken from `train`."""
    incomplete: str | None = None
    """Why rows that are cut or empty are left out and counted; None: they are errors."""
    learning_rate: float = 3e-5
    batch_size: int = 32
    epochs: float = 3.0
    max_length: int = 128
    learned_from: str = ""
    """The task whose models it scores, where there is nothing to train on; empty: it has models of
    its own."""
    published_scores: str = ""
    """Scores of others, for people: the split, and the models with their numbers in per cent."""

    @property
    def recipe(self) -> str:
        """The task that a model for this one is fine-tuned on."""
        return self.learned_from or self.name

    @property
    def own_files(self) -> bool:
        """True if its data are a user's own."""
        return self.columns is None

    @property
    def outputs(self) -> ClassNames:
        """Names of a model's outputs; none where the model sets them itself."""
        return self.kind.outputs(self.labels)

    def with_labels(self, labels: ClassNames) -> "Task":
        """This task, once its labels are known: they may decide what its metrics are."""
        kind = self.kind.of_labels(labels)
        metrics = kind.own["metrics"] if self.own_files else self.metrics
        return replace(self, labels=labels, kind=kind, metrics=metrics)

    def of_examples(self, examples: Sequence[Example]) -> "Task":
        """This task, once a user's own examples are known: they may decide what is learned."""
        kind = self.kind.of_examples(examples)
        return replace(self, kind=kind, metrics=kind.own["metrics"])

    def of_reading(self, reading: Reading) -> "Task":
        """This task, for texts that are read in this way."""
        return replace(self, kind=self.kind.of_reading(reading))

    def length(self, reading: Reading) -> int:
        """Tokens of a window."""
        return self.max_length if reading.max_length is None else reading.max_length

    def fit(self, reading: Reading, positions: int) -> Reading:
        """The reading, of windows that fit a model with so many positions.

        Only the task's own length is reduced; one that was asked for stays.
        """
        if reading.max_length is None and self.max_length > positions:
            return replace(reading, max_length=positions)
        return reading

    def to_windows(
        self,
        examples: Sequence[Example],
        vocabulary: Vocabulary,
        labels: ClassNames,
        reading: Reading,
    ) -> Windows:
        """The examples as windows, see `Kind.to_windows`."""
        return self.kind.to_windows(examples, vocabulary, labels, self.length(reading), reading)
