"""Several texts in each sequence, so that next to nothing is padding.

Texts are taken in windows of some million tokens, in the order of the corpus, which bounds memory.
Those of a window are shuffled, and each goes into the first row that has room for it (first-fit,
Johnson et al. 1974). Nothing is drawn by the run's seed: the rows of a corpus are always the same.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int64

from data.cutting import Cut

WINDOW = 4_000_000  # tokens that are packed together; their arrays take about 100 MB


def pack(cuts: Iterable[Cut], sequence_length: int) -> Iterator[Cut]:
    """The sequences of `cuts` as texts of longer ones, each at most `sequence_length` long."""
    for number, window in enumerate(_windows(cuts)):
        order = np.random.default_rng(number).permutation(len(window.lengths))
        rows = first_fit(window.lengths[order], sequence_length)
        order, rows = order[np.argsort(rows, kind="stable")], np.sort(rows)

        texts = window.lengths[order]
        starts = np.cumsum(window.lengths) - window.lengths
        moved = np.repeat(starts[order] - (np.cumsum(texts) - texts), texts)
        tokens = window.tokens[moved + np.arange(len(moved))]
        yield Cut(tokens, np.bincount(rows, weights=texts).astype(np.int64), texts)


def first_fit(lengths: Int64[np.ndarray, " texts"], room: int) -> Int64[np.ndarray, " texts"]:
    """The row of each text: the first that has room left for it, of `room` tokens each.

    A tree over the rows, each node with the most that a row below it has left, finds it in as many
    steps as the number of texts has binary digits.
    """
    leaves = 1 << len(lengths).bit_length()
    left = [room] * (2 * leaves)
    rows = []
    for length in lengths.tolist():
        node = 1
        while node < leaves:
            node *= 2
            if left[node] < length:
                node += 1
        rows.append(node - leaves)
        left[node] -= length
        while node > 1:
            node //= 2
            most = max(left[2 * node], left[2 * node + 1])
            if left[node] == most:
                break
            left[node] = most
    return np.asarray(rows, np.int64)


def _windows(cuts: Iterable[Cut]) -> Iterator[Cut]:
    waiting: list[Cut] = []
    tokens = 0
    for cut in cuts:
        waiting.append(cut)
        tokens += len(cut.tokens)
        if tokens >= WINDOW:
            yield _joined(waiting)
            waiting, tokens = [], 0
    if any(len(cut.lengths) for cut in waiting):
        yield _joined(waiting)


def _joined(cuts: list[Cut]) -> Cut:
    tokens, lengths, _ = zip(*cuts, strict=True)
    return Cut(np.concatenate(tokens), np.concatenate(lengths))
