"""Exact search: the documents whose vectors have the highest inner products with a query's.

Documents go to the devices in chunks of one shape, and each device keeps the best of its chunks, so
memory does not grow with their number. 100,000 documents are one product of matrices: an
approximate index would be more code, and would miss some of the best.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from model.blocks.products import matmul
from model.errors import InputError

DOCUMENTS_AT_ONCE = 32_768
"""Documents in a product: 50 MB of 384 numbers each in float32."""
QUERIES_AT_ONCE = 128
"""Queries in a product."""
KEPT_ON_CPU = 2**30
"""Bytes of documents that stay on a CPU from one search to the next."""


@runtime_checkable
class Vectors(Protocol):
    """Vectors, as a NumPy array has them in its rows; float32, float16 or bfloat16."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


class Hits(NamedTuple):
    """The best documents for each query, the best first; of equal ones the first in their order."""

    scores: Float32[np.ndarray, "queries k"]
    rows: Int32[np.ndarray, "queries k"]
    """The documents, by their row."""


class ExactSearch:
    """Documents to search in.

        search = ExactSearch(documents)
        scores, rows = search(queries, 10)

    The score is the inner product of the query in float32 and the document as it is stored, summed
    in float32: the cosine, if both have norm 1. On 1 and on 8 devices it is the same number.

    Args:
        documents: float [documents, width], in memory or on disk (`tasks.search.vectors`). They
            must not change: a CPU may read them where they are.
        devices: those that share the chunks; by default all of this process.
        chunk: documents in a product, at most.
        kept: documents of so many bytes at most are put onto the devices once, and more are read
            again at every search, a chunk for each device at a time; by default a gigabyte on CPUs,
            and half the memory of other devices.

    Raises:
        InputError: there are no documents.
    """

    def __init__(
        self,
        documents: Vectors,
        *,
        devices: Sequence[Any] | None = None,
        chunk: int = DOCUMENTS_AT_ONCE,
        kept: int | None = None,
    ):
        self.count, self.width = documents.shape
        if not self.count:
            raise InputError("there are no documents to search in: give at least one")
        self._documents = documents
        self._devices = list(devices or jax.local_devices())
        self._rows = min(chunk, self.count)
        size = self.count * self.width * np.dtype(documents.dtype).itemsize
        fits = size <= (_room(self._devices) if kept is None else kept)
        starts = range(0, self.count, self._rows)
        self._kept = [self._chunk(start) for start in starts] if fits else None

    def __call__(self, queries: Float[np.ndarray, "queries width"], k: int) -> Hits:
        """The `k` best documents for each query.

        Raises:
            InputError: there are fewer documents than `k`, or vectors of another width.
        """
        if not 1 <= k <= self.count:
            raise InputError(
                f"the {k:,} best documents are asked for, and there are {self.count:,}: ask for "
                "at least 1 and at most all"
            )
        if queries.shape[1] != self.width:
            raise InputError(
                f"the queries have {queries.shape[1]} numbers each and the documents {self.width}: "
                "both must come from one model"
            )
        parts = [
            self._search(queries[start : start + QUERIES_AT_ONCE], k)
            for start in range(0, len(queries), QUERIES_AT_ONCE)
        ]
        empty = Hits(np.zeros((0, k), np.float32), np.zeros((0, k), np.int32))
        return Hits(*map(np.concatenate, zip(*parts, strict=True))) if parts else empty

    def _search(self, queries: np.ndarray, k: int) -> Hits:
        """For queries of one product, filled up so that few programs are compiled."""
        filled = np.zeros((1 << (len(queries) - 1).bit_length(), self.width), np.float32)
        filled[: len(queries)] = queries
        asked = [jax.device_put(filled, device) for device in self._devices]
        best = [jax.device_put(_nothing(len(filled), k), device) for device in self._devices]
        for number, seen in enumerate(range(0, self.count, self._rows)):
            at = number % len(self._devices)
            if self._kept is None:  # a device has one chunk at a time
                jax.block_until_ready(best[at])
            chunk = self._chunk(seen) if self._kept is None else self._kept[number]
            places = np.array([self._start(seen), seen], np.int32)
            best[at] = _better(best[at], asked[at], chunk, places)
        scores, rows = (
            np.concatenate(part, axis=1)[: len(queries)] for part in zip(*best, strict=True)
        )
        order = np.lexsort((rows, -scores))[:, :k]
        return Hits(*(np.take_along_axis(array, order, axis=1) for array in (scores, rows)))

    def _start(self, seen: int) -> int:
        """The first row of the chunk after `seen` documents; the last reaches back, to be full."""
        return min(seen, self.count - self._rows)

    def _chunk(self, seen: int) -> jax.Array:
        start = self._start(seen)
        device = self._devices[seen // self._rows % len(self._devices)]
        return jax.device_put(self._documents[start : start + self._rows], device)


def _room(devices: Sequence[Any]) -> int:
    """Bytes of documents that stay on these devices."""
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    return sum(limits) // 2 if all(limits) else KEPT_ON_CPU


def _nothing(queries: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    last = np.iinfo(np.int32).max
    return np.full((queries, k), -np.inf, np.float32), np.full((queries, k), last, np.int32)


@jax.jit
def _better(
    best: tuple[Float32[Array, "queries k"], Int32[Array, "queries k"]],
    queries: Float32[Array, "queries width"],
    chunk: Float[Array, "rows width"],
    places: Int32[Array, "2"],
) -> tuple[Float32[Array, "queries k"], Int32[Array, "queries k"]]:
    """Scores and rows of the best so far and of a chunk, without what earlier chunks had.

    `places` are the row of the chunk's first document, and that of the first which is new.
    """
    k = best[0].shape[1]
    scores = matmul(queries, chunk.astype(jnp.float32).T)
    rows = places[0] + jnp.arange(len(chunk), dtype=jnp.int32)
    scores = jnp.where(rows[None] >= places[1], scores, -jnp.inf)
    # Of equal scores `top_k` takes the earlier: rows ascend, and those of `best` come first.
    new, place = jax.lax.top_k(scores, min(k, len(chunk)))
    scores = jnp.concatenate([best[0], new], axis=1)
    rows = jnp.concatenate([best[1], rows[place]], axis=1)
    scores, place = jax.lax.top_k(scores, k)
    return scores, jnp.take_along_axis(rows, place, axis=1)
