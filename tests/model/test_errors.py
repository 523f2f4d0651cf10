"""Checks and phrases that many modules share."""

import re
from dataclasses import dataclass

import pytest

from model.errors import InputError, above_zero, at_least_one, first_line


@dataclass(frozen=True)
class Settings:
    every_step: int | None = None
    rows: tuple[int, ...] = (1, 2)
    share: float | tuple[float, float] = 0.5


@pytest.mark.parametrize(
    ("check", "changes", "sentence"),
    [
        (at_least_one, {"every_step": 0}, "--run.every-step is 0, and must be at least 1"),
        (at_least_one, {"every_step": -5}, "--run.every-step is -5, and must be at least 1"),
        (at_least_one, {"rows": (3, 0)}, "--run.rows is 0, and must be at least 1"),
        (at_least_one, {"rows": ()}, "--run.rows names no number, and needs at least one"),
        (above_zero, {"share": 0.0}, "--run.share is 0.0, and must be above 0"),
        (above_zero, {"share": (2.0, -1.0)}, "--run.share is -1.0, and must be above 0"),
        (above_zero, {"share": float("nan")}, "--run.share is nan, and must be above 0"),
    ],
)
def test_a_message_names_the_flag_whose_number_is_too_small(check, changes, sentence):
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        check(Settings(**changes), *changes, prefix="--run.")


def test_the_first_line_of_an_error_without_a_message_is_its_type():
    assert first_line(ValueError(" no such file:\nmore")) == "no such file"
    assert first_line(TimeoutError()) == "TimeoutError"


def test_numbers_in_range_or_not_given_are_accepted():
    at_least_one(Settings(), "every_step", "rows")
    above_zero(Settings(), "every_step", "rows", "share")
