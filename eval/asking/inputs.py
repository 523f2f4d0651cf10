"""Texts that a model is asked about: arguments, lines of text, or rows of a table."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from select import select
from typing import Any

from data.rows import ROW_SUFFIXES, read_rows, table_suffix
from data.storage.lines import read_lines
from eval.asking.inference import Input, check_asked, check_given
from model.errors import InputError
from model.terminal import say
from tasks.formats.rows import text_cell
from tasks.kind import Kind
from tasks.reading import OF_TEXT, Asked

ANSWERED_TOGETHER = 256
"""Texts that are answered together: of so many, few batches are filled up with copies."""
BLOCK = 1 << 16
"""Bytes of standard input that are read at once."""
PATIENCE = 0.01
"""Seconds to wait for more lines, before those that are there are answered."""


def read_inputs(
    kind: Kind | None,
    texts: Sequence[str],
    file: Path | None,
    asked: Asked,
    check: Callable[[Input], None],
) -> Iterator[list[Input]]:
    """The texts, or those of a file or of standard input, in chunks; each is to pass `check`.

    Of a file whose name ends in one of `ROW_SUFFIXES` each row is asked about, as `Kind.ask` has
    it; of any other each line. `kind` is that of the model, None for a masked LM. A warning counts
    blank lines. What comes before an error is yielded first.

    Raises:
        InputError: a cell is missing or a text does not pass, or there is none; or what is asked
            does not go with the model.
    """
    if texts and file:
        raise InputError("--file goes without texts as arguments: give one or the other")
    if file and table_suffix(file) in ROW_SUFFIXES:
        found = _rows(kind, file, asked)
    else:
        check_asked(kind, asked)
        found = _texts(texts, asked) if texts else _lines(file, asked)
    empty = True
    for chunk in _chunks(found, check):
        yield chunk
        empty = False
    if empty:
        raise InputError(
            f"{file or 'standard input'} has no text: give texts as arguments, or one a line in "
            "--file or on standard input"
        )


def _chunks(found: Iterable[Input | None], check: Callable[[Input], None]) -> Iterator[list[Input]]:
    """At most `ANSWERED_TOGETHER` at a time; None among them ends a chunk."""
    chunk: list[Input] = []
    try:
        for each in found:
            if each is not None:
                check(each)
                chunk.append(each)
            if chunk and (each is None or len(chunk) == ANSWERED_TOGETHER):
                yield chunk
                chunk = []
    except InputError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _texts(texts: Sequence[str], asked: Asked) -> Iterator[Input]:
    for number, text in enumerate(texts, 1):
        yield Input(f"text {number}", text, asked)


def _rows(kind: Kind | None, file: Path, asked: Asked) -> Iterator[Input]:
    """The rows of a table, which all have the same cells of what is asked."""
    names: list[str] | None = None
    for row in kind.rows(file) if kind else read_rows(file):
        if row.problem:
            raise InputError(f"{row.place}, {row.problem}")
        text, own = kind.ask(row, asked) if kind else (text_cell(row, ("text",)), asked)
        here = [name for name in OF_TEXT if getattr(own, name) != getattr(asked, name)]
        names = here if names is None else names
        if here != names:
            name = min({*here} ^ {*names})
            raise InputError(
                f"{row.place}, has {'a' if here else 'no'} {name!r}, unlike the rows before it: "
                "give all rows one, or none"
            )
        for name in here:
            check_given(getattr(own, name), f"{row.place}: {name!r}")
        check_asked(kind, own)
        yield Input(f"{row.place},", text, own, _id(row.cells.get("id")))


def _id(value: Any) -> str | int | float | None:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _lines(file: Path | None, asked: Asked) -> Iterator[Input | None]:
    """The lines that are not blank; None where the next is not there yet."""
    name = file or "standard input"
    number, blank, first = 0, 0, 0
    for line in read_lines(file) if file else _standard_input():
        if line is None:
            yield None
            continue
        number += 1
        if line.strip():
            yield Input(f"{name}, line {number},", line.rstrip("\r\n"), asked)
        else:
            blank, first = blank + 1, first or number
    if blank:
        count = f"{blank:,} blank lines are" if blank > 1 else "a blank line is"
        say(f"{name}: {count} passed over, the first is line {first}", error=True)


def _standard_input() -> Iterator[str | None]:
    """As `_lines` has it, so that a person, or a program, can wait for the answer to each line."""
    stream: Any = sys.stdin.buffer
    if sys.stdin.isatty():
        say("One text a line; Ctrl-D after the last.", error=True)
    number, rest = 0, b""
    while block := stream.read1(BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            number += 1
            yield _decoded(line, number)
        if not select([stream], [], [], PATIENCE)[0]:
            yield None
    if rest:
        yield _decoded(rest, number + 1)


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"standard input, line {number}, is not UTF-8 text") from None
