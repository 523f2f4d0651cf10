"""Rows of task data: all formats are read into them, and examples made of them.

A format is a function of a file and the name of its split that yields rows: `table`, `conll`,
`squad` and `documents` beside this module. Columns (`TextColumns` and others, in the rooms of the
kinds) give the cells of a row their meaning: the same columns read files and the hub's rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from data.rows import Row, cell_text, require_cell
from model.errors import InputError


class IncompleteError(InputError):
    """Of a row in which something is missing. Some published sets have such rows."""


Format = Callable[[Path, str], Iterator[Row]]
"""Reads a file, or a folder, given the name of the split that it holds."""


@runtime_checkable
class Example(Protocol):
    """Something to learn from; each kind of task has a class of its own."""

    @property
    def id(self) -> str:
        """Of no other example of its split."""
        ...


@runtime_checkable
class Columns(Protocol):
    """Makes an example of a row."""

    def example(self, row: Row, number: int, labels: tuple[str, ...], labelled: bool) -> Example:
        """The example in a row; its id is the `number` of the row, from 0, where the row has none.

        `labels` are the allowed ones (empty: any); a row that is `labelled` must have one.

        Raises:
            InputError: a cell is missing, or does not hold what it should.
        """
        ...


def read_examples(
    rows: Iterable[Row], columns: Columns, labels: tuple[str, ...], labelled: bool, leave_out: bool
) -> tuple[tuple[Example, ...], int]:
    """All examples of a split, and the number of rows that are left out.

    With `leave_out` incomplete rows are, without it they are errors.

    Raises:
        InputError: of a row, or two rows have the same id.
    """
    examples: dict[str, Example] = {}
    left_out = 0
    for number, row in enumerate(rows):
        try:
            if row.problem:
                raise IncompleteError(f"{row.place}, {row.problem}")
            example = columns.example(row, number, labels, labelled)
        except IncompleteError:
            if not leave_out:
                raise
            left_out += 1
            continue
        if example.id in examples:
            raise InputError(f"{row.place}: there was an example with the id {example.id!r} before")
        examples[example.id] = example
    return tuple(examples.values()), left_out


def find_cell(row: Row, names: Sequence[str]) -> Any:
    """The value under the first of the names that the row has; None if it has none of them."""
    return next((row.cells[name] for name in names if name in row.cells), None)


def text_cell(row: Row, names: Sequence[str], flag: str = "") -> str:
    """The text under one of the names; `flag` is the one to change the name with.

    Raises:
        IncompleteError: the text is empty.
        InputError: the row has no such cell, or no text in it.
    """
    text = cell_text(row, names, flag)
    if not text.strip():
        name = require_cell(row, names)
        raise IncompleteError(f"{row.place}: the text of {name!r} is empty")
    return text


def finite_number(row: Row, value: Any, what: str) -> float:
    """The number in a cell; `what` names it in messages.

    Raises:
        InputError: it is no number, or not finite.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{row.place}: {what} {value!r} is not a finite number")
    return number
