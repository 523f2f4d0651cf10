"""The protocol between a loop and what it minimises."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Bool, Float32, PRNGKeyArray

Params = Any

Batch = dict[str, Array]
Metrics = dict[str, Float32[Array, ""]]


Numbers = dict[str, dict[str, Any]]
"""What an objective reads that changes over a run: by term, its `weight` and others."""
Mean = Literal["tokens", "micro-batches"]


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

    def loss(
        self,
        params: Params,
        constants: Any,
        batch: Batch,
        rngs: nnx.Rngs | None,
        numbers: Numbers,
        shares: Mapping[str, Any],
    ) -> tuple[Float32[Array, ""], Metrics]:
        """What one micro-batch adds to the loss, and each term summed over its places.

        `shares` is what one place counts in the loss, by term. Only the loss has a gradient.
        """
        ...
