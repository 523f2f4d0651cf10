"""Predictions of a model for every window of a data set, in a few static shapes."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jaxtyping import Int

from tasks.buckets import bucket_lengths
from tasks.kind import Fetched, Kind
from tasks.windows import Windows

EVALUATION_ROWS = 64
FEW_TOKENS = 8192
"""Tokens of a batch, at most, where its rows can be chosen: more need memory, and gain no speed."""


def predictor(
    kind: Kind,
    windows: Windows,
    *,
    rows: int | Sequence[int] = EVALUATION_ROWS,
    lengths: Sequence[int] | None = None,
    place: Callable[[dict[str, np.ndarray]], Any] = lambda batch: batch,
    compiled: bool = True,
) -> Callable[[nnx.Module], Fetched]:
    """A function from a model to what `kind` fetches of it, in the order of the windows.

    Windows of like lengths are read together, `rows` (multiples of the devices) at a time; `place`
    puts a batch onto the devices. No window is left out: the last rows of a bucket are filled up,
    and the outputs of the filling are dropped. `lengths` are those of the buckets, rising; by
    default those that need the least padding. A model that JAX cannot compile, which calls another
    library, is called as it stands if `compiled` is false.
    """
    fetch = _fetch if compiled else _fetch_uncompiled
    lengths = bucket_lengths(windows.extents) if lengths is None else lengths

    def predict(model: nnx.Module) -> Fetched:
        result: dict[str, list[np.ndarray]] = {}
        for chosen, batch in batches_of_like_lengths(windows, lengths, rows):
            placed = place({name: batch[name] for name in kind.inputs if name in batch})
            # Of all rows, also of those that other processes have asked about.
            fetched = multihost_utils.process_allgather(fetch(kind, model, placed), tiled=True)
            for name, array in fetched.items():
                column = result.setdefault(name, [np.empty(0)] * len(windows))
                for window, values in zip(chosen, array, strict=False):
                    tokens = windows.lengths[window]
                    column[window] = values[:tokens] if kind.per_token else values
        return result

    return predict


def batches_of_like_lengths(
    windows: Windows, lengths: Sequence[int], rows: int | Sequence[int]
) -> Iterator[tuple[Int[np.ndarray, " chosen"], dict[str, np.ndarray]]]:
    """Every window once, in batches of `rows` that are padded to one of the rising `lengths`.

    Where `rows` are several numbers, rising, a batch has the most of them that make no more than
    `FEW_TOKENS`, and the last batch of a length the fewest that hold what is left.

    Yields:
        At most `rows` places of windows, and the batch whose first rows they are; the last batch of
        a length is filled up with the same windows again.
    """
    choice = (rows,) if isinstance(rows, int) else tuple(rows)
    bucket = np.searchsorted(lengths, windows.extents)
    for number, length in enumerate(lengths):
        members = np.flatnonzero(bucket == number)
        tokens = math.prod(windows.shape(length))
        sizes = [size for size in choice if size * tokens <= FEW_TOKENS] or choice[:1]
        for start in range(0, len(members), sizes[-1]):
            chosen = members[start : start + sizes[-1]]
            size = next(size for size in sizes if len(chosen) <= size)
            yield chosen, windows.gather(np.resize(chosen, size), length)


# Compiled once for a model, however often it is asked. The model goes in as a pytree: `nnx.split`
# takes as long as a small model needs to read a sentence.
@partial(jax.jit, static_argnums=0)
def _fetch(kind: Kind, model: nnx.Module, batch: dict[str, Any]) -> dict[str, jax.Array]:
    return kind.fetch(model, batch)


def _fetch_uncompiled(kind: Kind, model: nnx.Module, batch: dict[str, Any]) -> dict[str, jax.Array]:
    return kind.fetch(model, jax.tree.map(jnp.asarray, batch))
