"""Search for the largest batch that fits, in few compilations: memory grows linearly with rows."""

from collections.abc import Callable
from dataclasses import dataclass, field

TRIES = 10


class TooLargeError(Exception):
    """A program needs more memory than the device has, as the compiler found."""


@dataclass
class Search:
    """The sizes tried: bytes of each number of rows that fits, and the rows that do not fit."""

    fits: dict[int, int] = field(default_factory=dict)
    too_large: set[int] = field(default_factory=set)

    @property
    def largest(self) -> int | None:
        return max(self.fits, default=None)


def largest_that_fits(needs: Callable[[int], int], limit: int, *, unit: int, first: int) -> Search:
    """Looks for the largest multiple of `unit` rows for which a program fits.

    Two sizes give a line, the line the size at which it meets `limit`, and that size is tried; a
    few more tries correct it where memory is not quite linear. The result was always compiled.

    Args:
        needs: the bytes that a program for so many rows takes; raises TooLargeError where the
            compiler gives up.
        limit: bytes of the device, where the line ends. The compiler alone decides what fits.
        unit: rows come in multiples of it.
        first: the rows to try first.
    """
    search, rows = Search(), first
    for _ in range(TRIES):
        try:
            search.fits[rows] = needs(rows)
        except TooLargeError:
            search.too_large.add(rows)
        above = min(search.too_large, default=None)
        if unit not in search.fits.keys() | search.too_large:
            rows = unit  # small, so that a first size that did not fit does no harm
            continue
        if search.largest is None:
            break
        (x0, y0), (x1, y1) = sorted([(0, 0), *search.fits.items()])[-2:]
        if rows in search.too_large:  # the line led too far: half way back is its next point
            guess = (x1 + rows) // 2
        elif x0 and y1 > y0:
            guess = max(x1 + (limit - y1) * (x1 - x0) // (y1 - y0), x1)
        else:
            guess = 2 * x1
        if above is not None:
            guess = min(guess, above - unit)
        rows = guess // unit * unit
        if rows in search.fits:
            break
    return search
