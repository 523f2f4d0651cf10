"""Ranges of settings, declared beside their fields, and the one check of all of them.

    learning_rate: Annotated[float, Range(0, 10, above=True)] = 5e-4

The limits are those of sense and of memory: a value beyond them is a slip.
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from model.errors import InputError

Mark = TypeVar("Mark")


@dataclass(frozen=True)
class Range:
    """The numbers from `least` to `most`, both included."""

    least: int | float
    most: int | float
    above: bool = False
    """Leave out `least` itself."""

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, Real):
            return False
        within = self.least <= number <= self.most  # type: ignore[operator]
        return within and not (self.above and number == self.least)

    def __str__(self) -> str:
        if self.above:
            return f"above {self.least}, at most {self.most}"
        return f"from {self.least} to {self.most}"


class MayBeEmpty:
    """Mark of a text for which "" is a value."""


Count = Annotated[int, Range(1, 10**9)]
Rows = Annotated[int, Range(1, 10**6)]
"""Sequences or examples that are in memory together."""
Length = Annotated[int, Range(1, 65536)]
"""Tokens that a model reads together."""
Share = Annotated[float, Range(0, 1)]
Seeds = Annotated[int, Range(1, 1000)]
"""The number of runs that differ in their seed."""
Epochs = Annotated[float, Range(0, 10_000, above=True)]
LearningRate = Annotated[float, Range(0, 10, above=True)]
Dropout = Annotated[float, Range(0, 0.99)]
Prompt = Annotated[str, MayBeEmpty()]
"""Text that is put before each text, such as "query: "; "" for none."""


def check_settings(settings: Any, prefix: str = "--", *, texts: bool = True) -> None:
    """Raises InputError for a setting, at any depth, that is out of its range, empty, or no text.

    Args:
        settings: a dataclass.
        prefix: the start of the flags of its fields; "" calls these by their names in Python.
        texts: check texts and lists too, which some dataclasses have from data.
    """
    hints = _hints(type(settings))
    for field in fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        flag = _flag(prefix, field.name, hint)
        if is_dataclass(value):
            check_settings(value, prefix if flag == prefix else f"{flag}.", texts=texts)
            continue
        if texts and value == () and field.default != () and field.default is not MISSING:
            raise InputError(f"{flag} names nothing: give at least one value, or leave it out")
        limits = next(marks_in(hint, Range), None)
        may_be_empty = next(marks_in(hint, MayBeEmpty), None) is not None
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, str | Path):
                if texts and not (may_be_empty and each == ""):
                    _check_text(flag, str(each))
            elif limits is not None and each is not None and each not in limits:
                raise InputError(f"{flag} is {each}: give a number {limits}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def marks_in(hint: Any, kind: type[Mark]) -> Iterator[Mark]:
    """The marks of a kind in an annotation, such as its ranges, at any depth."""
    yield from (each for each in getattr(hint, "__metadata__", ()) if isinstance(each, kind))
    for part in get_args(hint):
        yield from marks_in(part, kind)


def _flag(prefix: str, name: str, hint: Any) -> str:
    """The flag of a field, or its place, as `tyro.conf.arg` beside the field calls it."""
    for told in getattr(hint, "__metadata__", ()):
        if getattr(told, "metavar", None) is not None:
            return told.metavar
        if getattr(told, "name", None) is not None:
            return prefix + told.name
    return prefix + name.replace("_", "-") if prefix else name


def _check_text(flag: str, text: str) -> None:
    if not text:
        raise InputError(f"{flag} is empty: give a value, or leave it out")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{flag} is {text!r}, which is no text in the encoding of this terminal: set "
            "PYTHONUTF8=1, or give it in UTF-8"
        ) from None
    if "\0" in text:
        raise InputError(f"{flag} is {text!r}: leave out the character NUL")
