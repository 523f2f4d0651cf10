"""Ranges beside fields, and the sentences about what lies outside. (Every field: test_settings.)"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from model.config import EncoderConfig
from model.errors import InputError
from model.ranges import Range, check_settings

NAN = float("nan")


@dataclass(frozen=True)
class Inner:
    share: Annotated[float | tuple[float, float], Range(0, 1, above=True)] = 0.5


@dataclass(frozen=True)
class Settings:
    every_step: Annotated[int, Range(1, 9)] | None = None
    rows: tuple[Annotated[int, Range(1, 9)], ...] = (1, 2)
    tried: tuple[Annotated[int, Range(1, 9)], ...] = ()
    names: tuple[str, ...] = ("a",)
    file: Path | None = None
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"every_step": 0}, "--run.every-step is 0: give a number from 1 to 9"),
        ({"every_step": 10}, "--run.every-step is 10: give a number from 1 to 9"),
        ({"rows": (3, 0)}, "--run.rows is 0: give a number from 1 to 9"),
        ({"rows": ()}, "--run.rows names nothing: give at least one value, or leave it out"),
        ({"inner": Inner(0.0)}, "--run.inner.share is 0.0: give a number above 0, at most 1"),
        ({"inner": Inner((0.5, NAN))}, "--run.inner.share is nan: give a number above 0"),
        ({"names": ("a", "")}, "--run.names is empty: give a value, or leave it out"),
        ({"names": ("a\0",)}, r"--run.names is 'a\x00': leave out the character NUL"),
        ({"file": Path("\udcff")}, r"--run.file is '\udcff', which is no text in the encoding of"),
    ],
)  # fmt: skip
def test_a_sentence_names_the_flag_and_what_would_be_right(changes: dict[str, Any], sentence):
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        check_settings(Settings(**changes), "--run.")


def test_texts_that_come_from_data_are_free():
    check_settings(Settings(names=("", "a\0"), rows=()), texts=False)
    assert EncoderConfig(labels=()).num_labels == 0
    with pytest.raises(InputError, match=r"^num_layers is 1000000: give a number from 1 to 256$"):
        EncoderConfig(num_layers=10**6)


def test_what_is_in_range_or_not_given_is_accepted():
    check_settings(Settings())
    check_settings(Settings(1, (9, 1), (2,), ("é",), Path("é"), Inner((1.0, 1e-9))))
