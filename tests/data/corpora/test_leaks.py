"""Held-out lines that are in the training text too, against a count by brute force."""

import random

import pytest

from data.corpora import leaks
from data.corpora.leaks import Leaks, count_leaks
from data.corpora.text import Text


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_lines_are_counted_as_by_brute_force(at_once, monkeypatch):
    monkeypatch.setattr(leaks, "LINES_AT_ONCE", at_once)
    dice = random.Random(0)
    lines = [f"line {'x' * n} of {n}" for n in range(60)]
    sides = [
        [Text("\n".join(dice.choices(lines, k=3)), f"{n}") for n in range(8)] for _ in range(2)
    ]
    heldout, train = ([line for text in side for line in text.text.split("\n")] for side in sides)
    both = [line for line in heldout if line in train]
    assert 0 < len(both) < len(heldout)
    found = count_leaks(*sides)
    assert found[:2] == (24, len(both))
    assert found.share == pytest.approx(sum(map(len, both)) / sum(map(len, heldout)))


def test_case_and_white_space_do_not_count():
    heldout = [Text(" The  cat\tSAT\n\n ", "a"), Text("it did not", "b")]
    found = count_leaks(heldout, [Text("a dog\nthe cat sat", "c")])
    assert found == Leaks(2, 1, 11 / 21)
    assert str(found) == (
        "1 of 2 lines of the held-out text (52.4 % of its characters) are in the training text too"
    )
    assert count_leaks(heldout, []).leaked == 0
