"""The entry of a task, which says how it is read, which head it has, and how it is scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tasks.formats.published import Published
from tasks.formats.rows import Columns

Kind = Literal["classification", "regression", "tags", "answers"]

HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}


@dataclass(frozen=True)
class Task:
    """What is to be learned, and from what."""

    name: str
    title: str
    kind: Kind
    metrics: tuple[str, ...]
    """As `eval` calls them. The task's score is their mean, as the paper reports it."""
    labels: tuple[str, ...] = ()
    """The classes by name; empty where the training data say which there are, and for values and
    answers."""
    columns: Columns | None = None
    """What the cells of a row mean, in the published files and on the hub. None where the data are
    a user's own."""
    published: Published | None = None
    """The files as the authors gave them out."""
    hub: str | None = None
    """The set on the hub, `owner/name[:config][@revision]`."""
    hub_splits: Mapping[str, str] = field(default_factory=lambda: HUB_SPLITS)
    """What the hub calls each split. Without a `dev` split one is taken from `train`."""
    incomplete: str | None = None
    """Why rows that are cut or empty are left out and counted; None: they are errors."""
    null_threshold: float | None = None
    """How far above the best answer the score of there being none must be for that to be said;
    None where every question has an answer."""
    learning_rate: float = 3e-5
    batch_size: int = 32
    epochs: float = 3.0
    max_length: int = 128

    @property
    def own_files(self) -> bool:
        """Whether its data are a user's own."""
        return self.columns is None
