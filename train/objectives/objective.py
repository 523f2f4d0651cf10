"""The protocol between a loop and what it minimises."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Bool, Float32, PRNGKeyArray

from train.objectives.schedule import Now

Params = Any

Batch = dict[str, Array]
Metrics = dict[str, Float32[Array, ""]]
Numbers = Mapping[str, Now]
"""The present numbers of an objective, by term: its `weight` and others."""
Mean = Literal["tokens", "micro-batches"]


class LossInputs(NamedTuple):
    """The arguments of an objective's loss on one micro-batch."""

    params: Params
    """What is trained; only they have a gradient."""
    constants: Any
    """What is read but not trained, such as a teacher."""
    batch: Batch
    """Prepared, of arrays [rows, ...]."""
    rngs: nnx.Rngs | None
    """For dropout; None for none."""
    numbers: Numbers
    """The present values of `Objective.numbers`."""
    shares: Mapping[str, float | Float32[Array, ""]]
    """The weight of one place in the loss, by term: that of the term over its number of places."""


@runtime_checkable
class Objective(Protocol):
    """What a loop minimises: a weighted sum of means, one mean a term."""

    mean: Mean
    """Over all places of the update, or the mean of the micro-batches' means."""

    def numbers(self, progress: Float32[Array, ""]) -> Numbers:
        """The weight of every term, and what else changes, when a share of the run is done."""
        ...

    def prepare(self, constants: Any, batch: Batch, key: PRNGKeyArray) -> Batch:
        """What is drawn anew every time, such as masks, for arrays [micro, rows, ...]."""
        ...

    def where(self, batch: Batch) -> dict[str, Bool[Array, "..."]]:
        """The places of a prepared batch over which each term is averaged."""
        ...

    def loss(self, inputs: LossInputs) -> tuple[Float32[Array, ""], Metrics]:
        """The share of one micro-batch in the loss, and each term summed over its places.

        Only the first has a gradient.
        """
        ...
