"""Classes of a model, matched with those of data by name."""

import pytest

from tasks.model import spelled


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ("POSITIVE NEGATIVE", "negative positive", "positive negative"),
        ("a b", "c d", "a b"),
        # Classes that differ in case only are told apart, and a model fits its own data.
        ("Pos neg pos", "Pos neg pos", "Pos neg pos"),
        ("pos Pos NEG", "Pos neg pos", "pos Pos neg"),
        ("Pos pos", "pos", "Pos pos"),
        ("POS neg", "Pos neg pos", "POS neg"),
    ],
)
def test_classes_take_the_spelling_of_the_task(labels, names, expected):
    assert spelled(tuple(labels.split()), tuple(names.split())) == tuple(expected.split())
