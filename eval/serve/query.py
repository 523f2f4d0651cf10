"""Bodies of requests: read within limits, and checked, with a sentence for everything wrong."""

import asyncio
import json
import math
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Any

from eval.serve.ability import FIELDS, Ability, Query
from model.errors import InputError, did_you_mean
from report.tables import listed
from tasks.words.encode import check_text

EXAMPLE = '{"texts": ["..."]}'
FIELD_TYPES = {str: "a text", list: "a list of texts", int: "a whole number", float: "a number"}
IGNORED = 1 << 26
"""Bytes behind the limit that are still received, so that the client gets to read the answer."""


class RefusedError(InputError):
    """A request that is not answered, with its status of HTTP."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """The largest requests that are read."""

    body: int
    """Bytes."""
    texts: int
    characters: int
    """Of each text."""
    seconds: float
    """Until the whole body is there."""


async def read_body(
    chunks: AsyncIterable[bytes], headers: Mapping[str, str], limits: RequestLimits
) -> bytes:
    """The body of a request, as its `chunks` come.

    Raises:
        RefusedError: it is too large or too slow.
    """
    too_large = RefusedError(
        413, f"the body is larger than the {limits.body:,} bytes that this server reads"
    )
    declared = headers.get("content-length", "0")
    if int(declared) > limits.body + ("expect" not in headers) * IGNORED:
        raise too_large
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in chunks:
                size += len(chunk)
                if size > limits.body + IGNORED:
                    raise too_large
                if size <= limits.body:
                    body += chunk
    except TimeoutError:
        raise RefusedError(
            408, f"the body was not there after {limits.seconds:g} seconds: send it faster"
        ) from None
    if size > limits.body:
        raise too_large
    return bytes(body)


def read_query(body: bytes, ability: Ability, limits: RequestLimits) -> Query:
    """The query that a body in JSON is.

    Raises:
        InputError: it is none; a RefusedError where it is too large.
    """
    content = _object(body)
    known = ("texts", *ability.fields)
    for name in content:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f'/{ability.name} knows no field "{name[:40]}": {hint}')
    for name in ("texts", *ability.needs):
        if name not in content:
            needed = listed([f'"{each}"' for each in ("texts", *ability.needs)])
            raise InputError(f'"{name}" is missing: /{ability.name} of this model needs {needed}')
    given = {name: _value(name, value) for name, value in content.items()}
    texts = given.pop("texts")
    if not texts:
        raise InputError('"texts" is empty: give at least one text')
    if len(texts) > limits.texts:
        raise RefusedError(
            413, f'"texts" has {len(texts):,}: this server takes at most {limits.texts} together'
        )
    for number, text in enumerate(texts, 1):
        _check_text(text, f"text {number}", limits)
    for name, value in given.items():
        for text in (value,) if isinstance(value, str) else value if type(value) is tuple else ():
            if name != "prompt" or text:
                _check_text(text, f'"{name}"', limits)
    query = Query(texts, given)
    ability.check(query)
    return query


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise InputError(f"the body is empty: send a JSON object such as {EXAMPLE}")
    try:
        content = json.loads(body.decode(), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise InputError(f"the body is not UTF-8 text (byte {error.start + 1})") from None
    except json.JSONDecodeError as error:
        what = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise InputError(f"the body is no JSON ({what}): send {EXAMPLE}") from None
    except RecursionError:
        raise InputError(f"the body is nested too deeply: send {EXAMPLE}") from None
    except ValueError:  # of too many digits
        raise InputError("the body has a number that is none, or far too long") from None
    if not isinstance(content, dict):
        raise InputError(f"the body is {_named(content)}: send an object such as {EXAMPLE}")
    return content


def _no_number(name: str) -> float:
    raise ValueError(name)


def _value(name: str, value: Any) -> Any:
    """The value of a field, if it is of the right type; lists as tuples."""
    wanted = FIELDS.get(name, list)
    if wanted is float and type(value) is int:
        return float(value) if abs(value) < 1e300 else math.inf
    if type(value) is not wanted:
        raise InputError(f'"{name}" is {_named(value)}: give {FIELD_TYPES[wanted]}')
    if wanted is not list:
        return value
    for number, each in enumerate(value, 1):
        if type(each) is not str:
            raise InputError(f'"{name}" is to hold texts, and number {number} is {_named(each)}')
    return tuple(value)


def _named(value: Any) -> str:
    """The type of a value that has the wrong one."""
    others = {list: "a list", bool: "true or false", dict: "an object", type(None): "null"}
    return {**FIELD_TYPES, **others}[type(value)]


def _check_text(text: str, place: str, limits: RequestLimits) -> None:
    check_text(text, place)
    if len(text) > limits.characters:
        raise RefusedError(
            413,
            f"{place} has {len(text):,} characters: this server reads at most "
            f"{limits.characters:,}",
        )
