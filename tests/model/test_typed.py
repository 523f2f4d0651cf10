"""Values of files, checked against annotations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from model.errors import InputError
from model.typed import as_type


@dataclass(frozen=True)
class Point:
    x: float
    note: str | None = None


@dataclass(frozen=True)
class Shape:
    points: tuple[Point, ...]
    by_name: Mapping[str, Point] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (bool, True, True),
        (str, "a", "a"),
        (Path, "a/b", Path("a/b")),
        (Any, {"a": [None]}, {"a": [None]}),
        (int | None, None, None),
        (float | tuple[float, float], [1, 2], (1.0, 2.0)),
        (tuple[int, ...], [], ()),
        (Literal["a", "b"], "b", "b"),
        (Point, {"x": 1, "other": []}, Point(1.0)),
        (Shape, {"points": [{"x": 1, "note": None}], "by_name": {"a": {"x": 2}}},
         Shape((Point(1.0),), {"a": Point(2.0)})),
    ],
)  # fmt: skip
def test_a_value_becomes_what_the_annotation_asks_for(kind, value, expected):
    found = as_type(kind, value, "here")
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, True, "here: n is True, and must be an integer"),
        (int, 1.0, "here: n is 1.0, and must be an integer"),
        (float, True, "here: n is True, and must be a number"),
        (float, 10**400, "here: n is 1000"),
        (str, None, "here: n is None, and must be text in quotes"),
        (Path, 3, "here: n is 3, and must be a path in quotes"),
        (bool | None, "yes", "here: n is 'yes', and must be true or false"),
        (Literal["a", "b"], "c", "here: n is 'c', and must be 'a' or 'b'"),
        (tuple[int, ...], "12", r"here: n is '12', and must be a list \[an integer, \.\.\.\]"),
        (tuple[int, str], [1], r"here: n is \[1\], and must be a list \[an integer, text"),
        (tuple[int, ...], [1, "b"], r"here: n\.1 is 'b', and must be an integer"),
        (Shape, {"points": [{}]}, r"here: n\.points\.0\.x is missing, and must be a number"),
        (Shape, {"points": [], "by_name": {"a": 3}}, r"here: n\.by_name\.a is 3, and must be a"),
        (Shape, {"points": [{"x": 1, "note": 2}]}, r"here: n\.points\.0\.note is 2, .* text"),
        (Mapping[str, int], [], r"here: n is \[\], and must be a table of values by name"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_with_its_place(kind, value, message):
    with pytest.raises(InputError, match=message):
        as_type(kind, value, "here", "n")


def test_all_of_a_place_has_no_name():
    with pytest.raises(InputError, match="here: it is 3, and must be a table"):
        as_type(Point, 3, "here")
