"""The columns of a row that hold values for a text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.rows import Row
from tasks.formats.labels import is_missing
from tasks.formats.rows import finite_number
from tasks.texts.examples import TextColumns, cells_of_columns


@dataclass(frozen=True)
class ValueColumns(TextColumns):
    """The names of the cells of a row, which holds a value, or one in each of several columns."""

    several: Sequence[str] = ()
    """These columns; empty: there is one value, under `label`."""

    def read_label(self, row: Row, labels: tuple[str, ...], labelled: bool) -> tuple[Any, str]:
        if self.several:
            cells = cells_of_columns(row, self.several, labelled)
            if cells is None:
                return None, ""
            return {name: finite_number(row, cell, name) for name, cell in cells.items()}, ""
        value = self.label_cell(row, labelled)
        if not labelled and is_missing(value):
            return None, ""
        return finite_number(row, value, "the label"), ""
