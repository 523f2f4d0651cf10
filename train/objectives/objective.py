"""The protocol between a loop and what it minimises."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float32, PRNGKeyArray

from data.vocabulary import SpecialIds
from train.objectives.schedule import Now

Params = Any

DeviceBatch = dict[str, Array]
"""A batch on the devices; `data.batches.Batch` is one on the host."""
Scalars = dict[str, Float32[Array, ""]]
"""Sums or means by term, on the devices."""
Numbers = Mapping[str, Now]
"""The present numbers of an objective, by term: its `weight` and others."""
Mean = Literal["tokens", "micro-batches"]


class LossInputs(NamedTuple):
    """The arguments of an objective's loss on one micro-batch."""

    params: Params
    """The trained parameters; only they have a gradient."""
    constants: Any
    """Arrays that are read but not trained, such as a teacher's."""
    batch: DeviceBatch
    """Prepared, of arrays [rows, ...]."""
    rngs: nnx.Rngs | None
    """For dropout; None for none."""
    numbers: Numbers
    """The present values of `Objective.numbers`."""
    shares: Mapping[str, float | Float32[Array, ""]]
    """The weight of one place in the loss, by term: that of the term over its number of places."""
    axis: str | None = None
    """The pmap axis over which the rows of the micro-batch are shared; None: all are in `batch`."""


@runtime_checkable
class Objective(Protocol):
    """A function to minimise: a weighted sum of means, one mean a term."""

    mean: Mean
    """Over all places of the update, or the mean of the means of its micro-batches."""

    def numbers(self, progress: Float32[Array, ""]) -> Numbers:
        """The weight of every term, and other numbers, when a share `progress` is done."""
        ...

    def prepare(self, constants: Any, batch: DeviceBatch, key: PRNGKeyArray) -> DeviceBatch:
        """The batch with what is drawn again at every update, such as masks; [micro, rows, ...]."""
        ...

    def where(self, batch: DeviceBatch) -> dict[str, Bool[Array, "..."]]:
        """The places of a prepared batch over which each term is averaged."""
        ...

    def loss(self, inputs: LossInputs) -> tuple[Float32[Array, ""], Scalars]:
        """The share of one micro-batch in the loss, and the sums of all terms of `where`.

        Only the first has a gradient.
        """
        ...


@runtime_checkable
class TextObjective(Objective, Protocol):
    """An objective on running text."""

    vocabulary: bool
    """Whether the head that predicts tokens learns."""

    def constants(self, counts: np.ndarray, special: SpecialIds) -> dict[str, Array]:
        """The arrays that it reads beside batches and a teacher's parameters.

        Args:
            counts: how often each token occurs in the training text.
            special: the tokens that are not text.
        """
        ...
