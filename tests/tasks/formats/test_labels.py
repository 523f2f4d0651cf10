"""Names of classes, from cells of every type and spelling."""

import math

import pytest

from model.errors import InputError
from tasks.formats.labels import (
    WITHOUT_POINT,
    WITHOUT_SPACE,
    count_sentence,
    doubts,
    first_names,
    in_order,
    is_missing,
    label_name,
)


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (("pos", "pos ", "\tpos", "\xa0pos\n"), "pos"),
        ((1, 1.0, "1", "1.0", " 1.00 "), "1"),
        ((-3, -3.0, "-3"), "-3"),
        ((0, 0.0, "0"), "0"),
        ((0.5, "0.5"), "0.5"),
        ((True,), "true"),
        (("01",), "01"),
        (("01.0",), "01.0"),
        (("1.",), "1."),
        (("v1.0",), "v1.0"),
        (("None",), "None"),
        (("NA",), "NA"),
    ],
)
def test_one_class_has_one_name(cells, name):
    assert {label_name(cell, "here")[0] for cell in cells} == {name}


def test_what_is_left_out_is_said():
    remarks = {cell: label_name(cell, "")[1] for cell in ("a", "a ", "1.0", " 1.0", "1")}
    assert remarks == {
        "a": "", "a ": WITHOUT_SPACE, "1.0": WITHOUT_POINT, " 1.0": WITHOUT_POINT, "1": ""
    }  # fmt: skip
    assert label_name(1, "")[1] == "" and label_name(1.0, "")[1] == WITHOUT_POINT


@pytest.mark.parametrize("cell", [None, "", "  ", math.nan, "nan", "NaN "])
def test_no_class_is_refused(cell):
    assert is_missing(cell)
    with pytest.raises(InputError, match=r"a.csv, line 2: the label is (empty|nan|NaN): give one"):
        label_name(cell, "a.csv, line 2")


def test_a_class_of_another_type_is_refused():
    with pytest.raises(InputError, match="line 2: the label is list, not a name"):
        label_name(["a"], "line 2")


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (map(str, range(12)), " ".join(map(str, range(12)))),
        (["10", "9", "-1", "9"], "-1 9 10"),
        (["2.5", "10", "0.5"], "0.5 2.5 10"),
        (["10", "9", "x"], "10 9 x"),
        (["b", "B", "a"], "B a b"),
        (["01", "1"], "01 1"),
        ([], ""),
    ],
)
def test_numbers_are_in_their_order(names, order):
    assert " ".join(in_order(names)) == order


def test_counts_in_a_sentence():
    assert count_sentence({"neg": 1200, "pos": 0}) == "2 classes: neg 1,200, pos 0"
    many = {str(n): n for n in range(150)}
    assert count_sentence(many, "tags") == (
        "150 tags, from 149 149, 148 148, 147 147, 146 146, 145 145 to 4 4, 3 3, 2 2, 1 1, 0 0"
    )
    assert first_names("cab") == "a, b, c"
    assert first_names(list(map(str, range(1012)))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,002 more"


def test_doubts_about_names():
    assert doubts(["neg", "pos"]) == doubts(["0", "1", "10"]) == doubts(["v0.5", "1"]) == []
    assert doubts(["Pos", "neg", "pos", "POS"]) == [
        "'POS' and 'Pos' and 'pos' differ in case only, and are classes of their own"
    ]
    for other in ("cafe\u0301", "caf\xe9\u200b", "\uff23AF\xc9"):
        [sentence] = doubts(["tea", "caf\xe9", other])
        assert f"{other!a}" in sentence and "look alike, but their characters differ" in sentence
    [sentence] = doubts(["1", "0.5", "2.25"])
    assert "a fraction, such as 0.5" in sentence and "regression" in sentence
