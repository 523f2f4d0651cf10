"""Texts that a model is asked about: arguments, lines of text, or rows of a table."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data.rows import ROW_SUFFIXES, read_rows, table_suffix
from data.storage.lines import read_lines
from eval.inference import Input, check_asked
from model.errors import InputError
from model.terminal import say
from tasks.formats.rows import text_cell
from tasks.kind import Kind
from tasks.reading import OF_TEXT, Asked
from tasks.words.encode import check_text


def read_inputs(
    kind: Kind | None, texts: Sequence[str], file: Path | None, asked: Asked
) -> Iterator[Input]:
    """The texts, or those of a file or of standard input; a warning counts blank lines.

    Of a file whose name ends in one of `ROW_SUFFIXES` each row is asked about, as `Kind.ask` has
    it; of any other each line. `kind` is that of the model, None for a masked LM.

    Raises:
        InputError: a text is empty, a cell is missing, or what is asked does not go with the model.
    """
    if texts and file:
        raise InputError("--file goes without texts as arguments: give one or the other")
    if file and table_suffix(file) in ROW_SUFFIXES:
        found = _rows(kind, file, asked)
    else:
        check_asked(kind, asked)
        found = ((f"text {n}", text) for n, text in enumerate(texts, 1)) if texts else _lines(file)
        found = (Input(place, text, asked) for place, text in found)
    name = file or "standard input"
    empty = True
    for each in found:
        check_text(each.text, each.place)
        yield each
        empty = False
    if empty:
        raise InputError(
            f"{name} has no text: give texts as arguments, or one a line in --file or on standard "
            "input"
        )


def _rows(kind: Kind | None, file: Path, asked: Asked) -> Iterator[Input]:
    """The rows of a table, which all have the same cells of what is asked."""
    names: list[str] | None = None
    for row in read_rows(file):
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
            check_text(getattr(own, name), f"{row.place}: {name!r}")
        check_asked(kind, own)
        yield Input(row.place, text, own, _id(row.cells.get("id")))


def _id(value: Any) -> str | int | float | None:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _lines(file: Path | None) -> Iterator[tuple[str, str]]:
    name = file or "standard input"
    blank, first = 0, 0
    for number, line in enumerate(read_lines(file) if file else _standard_input(), 1):
        if line.strip():
            yield f"{name}, line {number},", line.rstrip("\r\n")
        else:
            blank, first = blank + 1, first or number
    if blank:
        count = f"{blank:,} blank lines are" if blank > 1 else "a blank line is"
        say(f"{name}: {count} passed over, the first is line {first}", error=True)


def _standard_input() -> Iterator[str]:
    if sys.stdin.isatty():
        say("One text a line; Ctrl-D after the last.", error=True)
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"standard input, line {number}, is not UTF-8 text") from None
