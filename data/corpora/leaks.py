"""Lines of the held-out text that are also in the training text."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data.corpora.text import Text

LINES_AT_ONCE = 100_000  # lines

_PerLine = Int64[np.ndarray, " lines"]


class Leaks(NamedTuple):
    """The lines of a held-out text, and those of them that are in training text too."""

    lines: int
    leaked: int
    share: float
    """Of the characters, to which repeated headings add little."""

    def __str__(self) -> str:
        share = f"{100 * self.share:.1f} % of its characters"
        return (
            f"{self.leaked:,} of {self.lines:,} lines of the held-out text ({share}) are in the "
            "training text too"
        )


def count_leaks(heldout: Iterable[Text], train: Iterable[Text]) -> Leaks:
    """Counts the held-out lines that training text has too, but for case and white space.

    It keeps a hash of each held-out line, and nothing of the training text.
    """
    parts = [*_lines(heldout)]
    hashes, sizes = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    known, place = np.unique(hashes, return_inverse=True)
    seen = np.zeros(len(known), bool)
    for others, _ in _lines(train):
        nearest = np.minimum(np.searchsorted(known, others), len(known) - 1)
        seen[nearest[known[nearest] == others]] = True
    leaked = seen[place]
    return Leaks(len(hashes), int(leaked.sum()), float(sizes[leaked].sum() / sizes.sum()))


def _lines(texts: Iterable[Text]) -> Iterator[tuple[_PerLine, _PerLine]]:
    """Hashes and lengths of the lines that are not blank."""
    lines = (
        line for text in texts for part in text.text.split("\n") if (line := without_case(part))
    )
    while batch := list(islice(lines, LINES_AT_ONCE)):
        yield np.array([hash(line) for line in batch]), np.array([len(line) for line in batch])


def without_case(text: str) -> str:
    """A text but for case and white space, so that copies are found."""
    return " ".join(text.casefold().split())
