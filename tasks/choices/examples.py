"""Contexts with choices, one of which is right, and the columns of a row that hold them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.rows import Row, cell_text, require_cell
from model.errors import InputError
from tasks.formats.labels import is_missing, label_name
from tasks.formats.rows import IncompleteError, find_cell, text_cell


@dataclass(frozen=True)
class ChoiceExample:
    """A context and the choices for it."""

    id: str
    context: str
    choices: tuple[str, ...]
    """Two or more."""
    label: int | None = None
    """The place of the right choice, from 0; None in a test set whose answers are kept back."""
    remark: str = field(default="", compare=False, repr=False)
    """On what of the label's cell was left out."""


@dataclass(frozen=True)
class ChoiceColumns:
    """The names of the cells of a row.

    Choices are a list `choices`, or cells with numbers from 0 behind their name: `choice0`,
    `choice1` and so on. A table has a column for each of the most choices of a row; the last cells
    of a row with fewer are empty.
    """

    context: str = "text"
    choice: str = "choice"
    start: str | None = None
    """The text with which all choices begin."""
    label: str = "label"
    """The place of the right choice, from 0."""
    id: Sequence[str] = ()
    """Empty: the number of the row, from 0."""
    own: bool = False
    """A user's own: messages mention flags, and no choice may be there twice."""

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> ChoiceExample:
        """As `tasks.formats.rows.Columns` has it."""
        flags = "--data.text-field", "--data.label-field"
        text_flag, label_flag = flags if self.own else ("", "")
        context = text_cell(row, (self.context,), text_flag)
        choices = self.choices(row)
        name = find_cell(row, self.id)
        if labelled:
            require_cell(row, (self.label,), label_flag)
        value = find_cell(row, (self.label,))
        label, remark = None, ""
        if labelled or not is_missing(value):
            place, remark = label_name(value, row.place)
            places = [str(place) for place in range(len(choices))]
            if place not in places:
                raise InputError(
                    f"{row.place}: the label {place!r} is not the place of a choice: give a number "
                    f"from 0 to {places[-1]}"
                )
            label = int(place)
        return ChoiceExample(str(number if name is None else name), context, choices, label, remark)

    def choices(self, row: Row) -> tuple[str, ...]:
        """The choices in a row.

        Raises:
            InputError: there are none, or what is there cannot be chosen between.
        """
        given = self._cells(row)
        if len(given) < 2:
            raise InputError(
                f"{row.place}: there should be two choices or more, and not {len(given)}"
            )
        for number, choice in enumerate(given):
            if choice is not None and not isinstance(choice, str):
                raise InputError(
                    f"{row.place}: choice {number} is {type(choice).__name__}, not text"
                )
            if not (choice or "").strip():
                raise IncompleteError(f"{row.place}: choice {number} is empty: give a text")
            if self.own and choice in given[:number]:
                raise InputError(
                    f"{row.place}: the choices {given.index(choice)} and {number} are the same, "
                    f"{choice!r}: leave one out"
                )
        if self.start is None:
            return tuple(given)
        start = cell_text(row, (self.start,))
        return tuple(f"{start} {choice}" for choice in given)

    def are_in(self, row: Row) -> bool:
        """True if the row has choices, right or wrong."""
        return "choices" in row.cells or bool(self._numbered(row))

    def _numbered(self, row: Row) -> list[str]:
        return [n for n in row.cells if re.fullmatch(re.escape(self.choice) + "[0-9]+", n)]

    def _cells(self, row: Row) -> Sequence[Any]:
        """The choices as they are, without the empty ones at the end of a table's row."""
        if "choices" in row.cells:
            choices = row.cells["choices"]
            if not isinstance(choices, list):
                raise InputError(
                    f"{row.place}: 'choices' is {type(choices).__name__}, not a list of texts: a "
                    f"table has a column for each choice, {self.choice}0, {self.choice}1 and so on"
                )
            return choices
        names = self._numbered(row)
        if not names:
            require_cell(row, ("choices", f"{self.choice}0"))
        wanted = [f"{self.choice}{number}" for number in range(len(names))]
        if set(names) != set(wanted):
            raise InputError(
                f"{row.place}, has the columns {', '.join(names)}: number them from 0, "
                f"{', '.join(wanted)}"
            )
        cells = [row.cells[name] for name in wanted]
        while cells and is_missing(cells[-1]):
            cells.pop()
        return cells
