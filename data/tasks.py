"""The tasks: one entry each says how it is read, which head it has, and how it is scored.

The hyper-parameters are those of Devlin et al. 2019 (appendix A.3, sections 4.2 and 4.3): those
with which the DistilBERT paper fine-tuned are unpublished.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "regression", "tags", "answers"]
Split = Literal["train", "dev", "test"]


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
    learning_rate: float = 3e-5
    batch_size: int = 32
    epochs: float = 3.0
    max_length: int = 128
