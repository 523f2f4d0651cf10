"""Names of classes, as the cells of files hold them, and sentences on them."""

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from typing import Any

from model.errors import InputError, first_of

WITHOUT_SPACE = "labels are read without the white space around them"
WITHOUT_POINT = "labels are read as whole numbers: 1.0 as 1"
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_WHOLE = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+", re.ASCII)
_SHOWN = 30  # of many classes the most and the least frequent are named


def label_name(value: Any, place: str) -> tuple[str, str]:
    """The name of a class in a cell, and a remark on what of the cell was left out ("": nothing).

    1, 1.0 and "1" are one class, and white space around a name is no part of it. `place` is for
    messages.

    Raises:
        InputError: the cell is empty, missing (NaN), or of another type.
    """
    if is_missing(value):
        raise InputError(f"{place}: the label is {str(value or '').strip() or 'empty'}: give one")
    if not isinstance(value, str | int | float):
        raise InputError(f"{place}: the label is {type(value).__name__}, not a name")
    given = value if isinstance(value, str) else json.dumps(value)
    name = given.strip()
    if whole := _WHOLE.fullmatch(name):
        return whole[1], WITHOUT_POINT
    return name, "" if name == given else WITHOUT_SPACE


def is_missing(value: Any) -> bool:
    """True if a cell holds nothing, or NaN, which is what other programs write then."""
    return value is None or str(value).strip().casefold() in ("", "nan")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Class names, each once: numbers by their size, others by the alphabet."""
    found = sorted(set(names))
    return tuple(sorted(found, key=float) if all(map(_NUMBER.fullmatch, found)) else found)


def count_sentence(counts: Mapping[str, int], noun: str = "classes") -> str:
    """A sentence that counts the examples of each class, in the order of `counts`."""
    shown = [f"{name} {count:,}" for name, count in counts.items()]
    if len(shown) > _SHOWN:
        ranked = sorted(counts, key=lambda name: -counts[name])
        ends = (", ".join(f"{n} {counts[n]:,}" for n in side) for side in (ranked[:5], ranked[-5:]))
        return f"{len(shown)} {noun}, from {' to '.join(ends)}"
    return f"{len(shown)} {noun}: {', '.join(shown)}"


def first_names(names: Collection[str]) -> str:
    """Class names in a sentence, the first ten at most."""
    return first_of(in_order(names), 10)


def doubts(names: Collection[str]) -> list[str]:
    """Sentences on class names that may be a mistake: they look alike, or are measured values."""
    looks = sorted(names, key=lambda name: (_look(name), name))
    groups = (list(same) for _, same in groupby(looks, key=_look))
    found = [_difference(same) for same in groups if len(same) > 1]
    fractions = [name for name in in_order(names) if "." in name]
    if fractions and all(map(_NUMBER.fullmatch, names)):
        found.append(
            f"the classes are numbers with a fraction, such as {fractions[0]}: values are learned "
            "by the task regression"
        )
    return found


def _look(name: str) -> str:
    """A name without case, forms of characters (e + accent or é), and characters of no width."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in plain if unicodedata.category(char) != "Cf")


def _difference(same: Collection[str]) -> str:
    """The sentence on names that look the same."""
    if len({name.casefold() for name in same}) == 1:
        return f"{' and '.join(map(repr, same))} differ in case only, and are classes of their own"
    codes = " and ".join(map(ascii, same))
    return f"{codes} look alike, but their characters differ, and are classes of their own"
