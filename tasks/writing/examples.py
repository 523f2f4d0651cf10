"""Texts with what is to be written of them, and the columns of a row that hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.rows import Row, cell_text, require_cell
from model.errors import InputError
from tasks.formats.rows import IncompleteError, find_cell, text_cell


@dataclass(frozen=True)
class TranslationExample:
    """A text, with its translations by people."""

    id: str
    source: str
    references: tuple[str, ...] | None = None
    """One or more, of which the first is learned from; None where they are kept back."""


@dataclass(frozen=True)
class TranslationColumns:
    """The names of the cells of a row: the source a text, the target a text or several in a list.

    Both may also be inside a cell `translation`, as in the sets of WMT on the hub.
    """

    source: Sequence[str] = ("source", "text")
    target: Sequence[str] = ("target",)
    id: Sequence[str] = ("id",)
    own: bool = False
    """The names were given by flags, which messages then mention."""

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> TranslationExample:
        """As `tasks.formats.rows.Columns` has it."""
        name = find_cell(row, self.id)
        both = row.cells.get("translation")
        if isinstance(both, Mapping):
            row = row._replace(cells=dict(both))
        return TranslationExample(
            str(number if name is None else name),
            text_cell(row, self.source, "--data.text-field" if self.own else ""),
            self._references(row, labelled),
        )

    def _references(self, row: Row, labelled: bool) -> tuple[str, ...] | None:
        if not labelled and find_cell(row, self.target) is None:
            return None
        flag = "--data.pair-field" if self.own else ""
        name = require_cell(row, self.target, flag)
        value = row.cells[name]
        if not isinstance(value, list):
            value = [cell_text(row, self.target, flag)]
        if not all(isinstance(each, str) for each in value):
            raise InputError(f"{row.place}: {name!r} should be a text, or a list of texts")
        if not value or not all(each.strip() for each in value):
            raise IncompleteError(f"{row.place}: the target {name!r} is empty")
        return tuple(value)
