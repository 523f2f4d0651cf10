"""Length buckets: examples of like lengths share a batch, padded to one of a few static shapes.

A program is compiled for each shape, so there are few of them; their lengths are chosen for the
windows at hand, so that as little as possible is padding.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache, lru_cache

import numpy as np
from jaxtyping import Int

from data.batches import Batch, read_ahead, rows_of_host
from tasks.windows import Windows


def bucket_lengths(
    lengths: Int[np.ndarray, " windows"], *, most: int = 6, multiple: int = 8
) -> tuple[int, ...]:
    """The at most `most` lengths that need the least padding.

    Each is a multiple of `multiple`, but for the longest, which is the longest window's.

    Every window goes to the shortest bucket that holds it; what the last bucket should start at
    decides what is left for the others (dynamic programming).
    """
    rounded = np.minimum(-(-lengths // multiple) * multiple, lengths.max())
    ends, sizes = np.unique(rounded, return_counts=True)
    below = np.concatenate([[0], np.cumsum(sizes)])

    @cache
    def best(last: int, most: int) -> tuple[float, tuple[int, ...]]:
        """The fewest tokens for the first `last` lengths in `most` buckets, and these buckets."""
        if last == 0 or most == 0:
            return (0.0 if last == 0 else np.inf), ()
        end = int(ends[last - 1])
        return min(
            (tokens + end * float(below[last] - below[first]), (*buckets, end))
            for first in range(last)
            for tokens, buckets in [best(first, most - 1)]
        )

    return best(len(ends), most)[1]


class BucketBatches:
    """The training batches of a task, endless, any of them directly.

    An epoch sees every window once, in an order of its own. Windows are dealt to their buckets in
    that order; what does not fill a batch of its bucket goes up into the next longer one, so that
    only one batch of the epoch is not full: rows that are not `valid` fill it up. Then the batches
    are shuffled, but for one of the longest bucket, which comes first: if memory is too small, that
    is seen at once.

    Args:
        windows: encoded examples.
        lengths: of the buckets, rising; the longest holds all.
        batch_size: windows an update, over all hosts and micro-batches.
        micro_batches: parts whose gradients are accumulated; all of an update have one length.
        seed: of the order.
        host, hosts: the share of the rows to read.

    Raises:
        InputError: the batch does not divide evenly.
    """

    def __init__(
        self,
        windows: Windows,
        lengths: Sequence[int],
        *,
        batch_size: int,
        micro_batches: int = 1,
        seed: int,
        host: int = 0,
        hosts: int = 1,
    ):
        self.windows, self.lengths, self.batch_size = windows, tuple(lengths), batch_size
        self._rows = rows_of_host(batch_size, micro_batches, host, hosts)
        bucket = np.searchsorted(self.lengths, windows.extents)

        @lru_cache(maxsize=2)
        def plan(epoch: int) -> list[tuple[int, np.ndarray]]:
            random = np.random.default_rng((seed % 2**64, epoch))
            order = random.permutation(len(windows))
            batches, left = [], order[:0]
            for number, length in enumerate(self.lengths):
                left = np.concatenate([left, order[bucket[order] == number]])
                full = len(left) // batch_size * batch_size
                batches += [(length, rows) for rows in left[:full].reshape(-1, batch_size)]
                left = left[full:]
            if len(left):
                batches.append((self.lengths[bucket[left].max()], left))
            shuffled = random.permutation(len(batches)).tolist()
            first = max(shuffled, key=lambda place: batches[place][0])
            return [batches[place] for place in sorted(shuffled, key=lambda place: place != first)]

        self._plan = plan

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.windows) // self.batch_size)

    @property
    def updates_per_epoch(self) -> Fraction:
        """A whole number: no update reaches into the next epoch, the last is filled up instead."""
        return Fraction(self.steps_per_epoch)

    def tokens(self, step: int) -> int:
        """The tokens of update `step` on all hosts, without padding and filler rows."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return int(self.windows.sizes[self._plan(epoch)[place][1]].sum())

    def batch(self, step: int) -> Batch:
        """This host's part of update `step`.

        Returns:
            The columns of `Windows.gather`, [micro, rows, ...], `valid` (bool [micro, rows]):
            whether a row counts, and `row` (int32 [micro, rows]): which window it is.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        length, members = self._plan(epoch)[place]
        rows = np.resize(members, self.batch_size)[self._rows]
        flat = self.windows.gather(rows.reshape(-1), length)
        batch = {name: array.reshape(*rows.shape, *array.shape[1:]) for name, array in flat.items()}
        return batch | {"valid": self._rows < len(members), "row": rows.astype(np.int32)}

    def iterate(self, start: int = 0) -> Iterator[Batch]:
        """Batches from step `start` on, read ahead by grain's threads."""
        return read_ahead(self.batch, start)
