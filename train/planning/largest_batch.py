"""The largest batch that fits, in few tries: memory grows with the batch along a line."""

from collections.abc import Callable
from dataclasses import dataclass, field

TRIES = 8


class TooLargeError(Exception):
    """The compiler found that a program needs more memory than the device has."""


@dataclass
class Search:
    """What was tried: bytes for each number of rows that fits, and the rows that do not fit."""

    fits: dict[int, int] = field(default_factory=dict)
    too_large: set[int] = field(default_factory=set)

    @property
    def largest(self) -> int | None:
        return max(self.fits, default=None)


def line(points: dict[int, int]) -> tuple[float, float]:
    """(bytes without any row, bytes a row) through the two largest points."""
    (x0, y0), (x1, y1) = sorted(points.items())[-2:]
    slope = (y1 - y0) / (x1 - x0)
    return y0 - slope * x0, slope


def largest_that_fits(needs: Callable[[int], int], limit: int, *, unit: int, first: int) -> Search:
    """Looks for the largest multiple of `unit` rows for which a program fits.

    Two sizes give a line, the line the answer, and the answer itself is tried; a few further tries
    mend it where memory is not quite a line. What the search ends with was always tried.

    Args:
        needs: the bytes that a program for so many rows takes; raises TooLargeError where the
            compiler gives up.
        limit: bytes of the device: where the line is to end. Whether a program fits says the
            compiler alone.
        unit: rows come in multiples of it.
        first: the rows to try first.
    """
    search = Search()

    def attempt(rows: int) -> bool:
        try:
            search.fits[rows] = needs(rows)
        except TooLargeError:
            search.too_large.add(rows)
        return rows in search.fits

    attempt(first)
    # A small second size, so that a first one that did not fit does no harm.
    fitted = attempt(unit if first != unit else 2 * unit)
    for _ in range(TRIES):
        above = min(search.too_large, default=None)
        largest = search.largest
        if largest is None:
            if above is None or above <= unit:
                break
            guess = unit
        elif len(search.fits) == 1:
            guess = 2 * largest
        else:
            base, slope = line(search.fits)
            guess = int((limit - base) / slope) if slope > 0 else 2 * largest
            guess = max(guess, largest)
        if above is not None:
            # A line that led too far is not asked again: half way back is the next point of it.
            if largest is not None and not fitted:
                guess = (largest + above) // 2
            guess = min(guess, above - unit)
        guess = guess // unit * unit
        if guess in search.fits or guess < unit:
            break
        fitted = attempt(guess)
    return search
