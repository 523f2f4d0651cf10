"""The largest batch: found in few tries along a line, and near it."""

import pytest

from train.planning.largest_batch import TooLargeError, largest_that_fits


def search(needs, limit, unit, first):
    tried = []

    def compile_(rows):
        tried.append(rows)
        if needs(rows) > limit:
            raise TooLargeError
        return needs(rows)

    found = largest_that_fits(compile_, limit, unit=unit, first=first)
    return found, tried


@pytest.mark.parametrize("base", [0, 1000, 5555])
@pytest.mark.parametrize("slope", [7, 130, 999])
@pytest.mark.parametrize(("unit", "first"), [(1, 1), (8, 16), (5, 15), (8, 800)])
def test_along_a_line_the_answer_is_exact_and_quick(base, slope, unit, first):
    limit = 10_000
    found, tried = search(lambda rows: base + slope * rows, limit, unit, first)
    brute = max((r for r in range(unit, 3000, unit) if base + slope * r <= limit), default=None)
    assert found.largest == brute
    assert len(tried) == len(set(tried)) <= 4
    assert brute is None or brute in tried


@pytest.mark.parametrize("bend", [0.02, -0.02])
def test_near_a_line_it_ends_below_what_does_not_fit(bend):
    def needs(rows):
        return round(1000 + 50 * rows + bend * rows**2)

    found, tried = search(needs, 10_000, 8, 16)
    brute = max(r for r in range(8, 1000, 8) if needs(r) <= 10_000)
    assert found.largest == brute
    assert len(tried) <= 6


def test_nothing_fits():
    found, tried = search(lambda rows: 20_000, 10_000, 8, 64)
    assert found.largest is None
    assert tried == [64, 8]


def test_small_sizes_that_tell_little_about_large_ones():
    """As of a narrow model, of which a chip's padding hides how the memory grows."""
    found, tried = search(lambda rows: 1000 + max(rows, 10 * (rows - 64)), 10_000, 1, 4)
    assert found.largest is not None
    assert 0.85 * 964 < found.largest <= 964
    assert len(tried) <= 10
