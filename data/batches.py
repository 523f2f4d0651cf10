"""Shuffled batches by random access: the step alone gives the position in the data."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache

import grain
import numpy as np
from jaxtyping import Int

from data.sequences import Batch, Sequences
from model.errors import InputError


class Batches:
    """The endless training batches of a run, each available directly by its step.

    All epochs, each with its own order by `seed`, follow each other, and step `s` takes
    `batch_size` sequences from `s * batch_size` on. So there is no iterator state to save. The last
    sequences of an epoch share a batch with the first of the next, and none is left out.

    An update's batch has `micro_batches` parts of equal size, and each host reads its share of the
    rows of each: all hosts together read what a single one would. So a run can resume at any step
    with another number of hosts.

    Args:
        sequences: from `prepare_sequences`.
        batch_size: sequences in an update, over all hosts and micro-batches.
        micro_batches: parts whose gradients are accumulated.
        seed: of the order.
        pad_id: fills the rest of short sequences (only `lines` mode has them).
        host, hosts: the index of this host and their number.
        beside: from the sequences in rows, and the epochs that these belong to, to further arrays
            of a batch; one of them may replace `row`.

    Raises:
        InputError: the batch does not divide evenly.
    """

    def __init__(
        self,
        sequences: Sequences,
        *,
        batch_size: int,
        micro_batches: int = 1,
        seed: int,
        pad_id: int,
        host: int = 0,
        hosts: int = 1,
        beside: Callable[[np.ndarray, np.ndarray], Batch] = lambda chosen, epochs: {},
    ):
        self.sequences, self.batch_size, self.pad_id = sequences, batch_size, pad_id
        self._beside = beside
        self._rows = rows_of_host(batch_size, micro_batches, host, hosts)

        # Eight bytes per sequence and epoch; a batch may reach into two epochs.
        @lru_cache(maxsize=2)
        def order(epoch: int) -> np.ndarray:
            return np.random.default_rng((seed % 2**64, epoch)).permutation(len(sequences))

        self._order = order

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def updates_per_epoch(self) -> Fraction:
        """No whole number where an update reaches into the next epoch."""
        return Fraction(len(self.sequences), self.batch_size)

    def batch(self, step: int) -> Batch:
        """This host's part of the batch of update `step`.

        Returns:
            The arrays of `Sequences.gather`, [micro, rows, length], and row int32 [micro, rows]:
            the index of each row in the update's global batch.
        """
        chosen, epochs = self._chosen(step, self._rows)
        batch = self.sequences.gather(chosen, self.pad_id) | {"row": self._rows.astype(np.int32)}
        return batch | self._beside(chosen, epochs)

    def tokens(self, step: int) -> int:
        """The tokens of update `step` on all hosts, without padding."""
        chosen, _ = self._chosen(step, np.arange(self.batch_size))
        return int((self.sequences.offsets[chosen + 1] - self.sequences.offsets[chosen]).sum())

    def _chosen(
        self, step: int, rows: Int[np.ndarray, "*rows"]
    ) -> tuple[Int[np.ndarray, "*rows"], Int[np.ndarray, "*rows"]]:
        """The sequences in some rows of an update, and the epochs that these rows belong to."""
        epochs, places = np.divmod(step * self.batch_size + rows, len(self.sequences))
        chosen = np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            chosen[here] = self._order(int(epoch))[places[here]]
        return chosen, epochs

    def iterate(self, start: int = 0) -> Iterator[Batch]:
        """Batches from step `start` on, read ahead by grain's threads."""
        return read_ahead(self.batch, start)


def rows_of_host(
    batch_size: int, micro_batches: int, host: int, hosts: int
) -> Int[np.ndarray, "micro rows"]:
    """The rows of an update's batch that a host reads, for each micro-batch.

    Raises:
        InputError: the batch does not divide evenly.
    """
    if batch_size < 1 or micro_batches < 1 or batch_size % micro_batches:
        raise InputError(
            f"a batch of {batch_size} sequences does not divide into {micro_batches} "
            f"micro-batches: make the batch size a multiple of {micro_batches * hosts}"
        )
    if batch_size // micro_batches % hosts:
        raise InputError(
            f"a micro-batch of {batch_size // micro_batches} sequences does not divide over "
            f"{hosts} hosts: make it a multiple of {hosts}"
        )
    return np.arange(batch_size).reshape(micro_batches, hosts, -1)[:, host]


def read_ahead(batch: Callable[[int], Batch], start: int) -> Iterator[Batch]:
    """`batch(start)`, `batch(start + 1)` and so on, made in advance by grain's threads."""
    steps = grain.MapDataset.range(start, 2**62).map(batch)
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
    return iter(steps.to_iter_dataset(options))


def heldout_batches(
    sequences: Sequences, *, rows: int, pad_id: int, limit: int | None = None
) -> Iterator[Batch]:
    """Batches of `rows` sequences: each sequence once, in order, or `limit` of them evenly spread.

    Yields:
        input_ids int32 and attention_mask bool, [rows, length], and row int32 [rows], the
        sequence's index. The last batch is filled up with rows of padding.
    """
    chosen = np.arange(len(sequences))
    if limit is not None and limit < len(sequences):
        chosen = np.linspace(0, len(sequences) - 1, limit).round().astype(np.int64)
    for start in range(0, len(chosen), rows):
        real = np.arange(rows) < len(chosen) - start
        row = np.resize(chosen[start : start + rows], rows)
        batch = sequences.gather(row, pad_id) | {"row": row.astype(np.int32)}
        mask = batch.setdefault("attention_mask", np.ones(batch["input_ids"].shape, bool))
        batch["input_ids"][~real], mask[~real] = pad_id, False
        yield batch
