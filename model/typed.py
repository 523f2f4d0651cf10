"""A user's JSON and TOML, checked against type annotations and made what these ask for."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from model.errors import InputError

PLAIN: dict[Any, str] = {
    str: "text in quotes",
    Path: "a path in quotes",
    bool: "true or false",
    int: "an integer",
    float: "a number",
}


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or nested more deeply than can be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def as_type(kind: Any, value: Any, place: str, name: str = "") -> Any:
    """A value as an annotation asks for it: lists as tuples, integers as floats, texts as paths.

    A mapping becomes a dataclass; fields with a default may be missing, and unknown ones are
    ignored.

    Args:
        kind: str, int, float, bool, Path, Literal, a union, a tuple, a Mapping, or a dataclass of
            such.
        value: what a file holds.
        place: the beginning of a message: the file, its line.
        name: of the value there, with dots; "" for all that the place holds.

    Raises:
        InputError: the value is of another type; the message has place, name, value and type.
    """
    origin, parts = get_origin(kind), get_args(kind)
    inner = f"{name}." if name else ""
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        some = [part for part in parts if part is not NoneType]
        if len(some) == 1:
            return as_type(some[0], value, place, name)
        for part in some:
            with suppress(InputError):
                return as_type(part, value, place, name)
    elif origin is Literal:
        if value in parts:
            return value
    elif origin is tuple and isinstance(value, list | tuple):
        each = parts[:1] * len(value) if parts[-1] is ... else parts
        if len(each) == len(value):
            pairs = enumerate(zip(each, value, strict=True))
            return tuple(as_type(part, item, place, f"{inner}{at}") for at, (part, item) in pairs)
    elif origin is Mapping and isinstance(value, Mapping):
        return {key: as_type(parts[1], item, place, inner + key) for key, item in value.items()}
    elif is_dataclass(kind) and isinstance(value, Mapping):
        kinds = get_type_hints(kind)
        known = {}
        for field in fields(kind):
            if field.name in value:
                found = value[field.name]
                known[field.name] = as_type(kinds[field.name], found, place, inner + field.name)
            elif field.default is MISSING and field.default_factory is MISSING:
                wanted = described(kinds[field.name])
                raise InputError(f"{place}: {inner}{field.name} is missing, and must be {wanted}")
        return kind(**known)  # type: ignore[operator]
    elif type(value) is kind:
        return value
    elif kind is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    elif kind is Path and isinstance(value, str | Path):
        return Path(value)
    is_now = f"{name} is {value!r:.60}" if name else f"it is {value!r:.60}"
    raise InputError(f"{place}: {is_now}, and must be {described(kind)}")


def described(kind: Any) -> str:
    """The values of a type in words: "a number or a list [a number, a number]"."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(described(part) for part in parts if part is not NoneType)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is tuple:
        return f"a list [{', '.join('...' if part is ... else described(part) for part in parts)}]"
    return PLAIN.get(kind, "a table of values by name")
