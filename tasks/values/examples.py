"""The columns of a row that hold values for a text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.rows import Row
from model.errors import InputError
from tasks.formats.labels import is_missing
from tasks.texts.examples import TextColumns, cells_of_columns


@dataclass(frozen=True)
class ValueColumns(TextColumns):
    """The names of the cells of a row, which holds a value, or one in each of several columns."""

    several: Sequence[str] = ()
    """These columns; empty: there is one value, under `label`."""

    def read_label(self, row: Row, labels: tuple[str, ...], labelled: bool) -> tuple[Any, str]:
        if self.several:
            cells = cells_of_columns(row, self.several, labelled)
            named = None if cells is None else {n: _value(row, v, n) for n, v in cells.items()}
            return named, ""
        value = self.label_cell(row, labelled)
        return None if not labelled and is_missing(value) else _value(row, value, "the label"), ""


def _value(row: Row, value: Any, what: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{row.place}: {what} {value!r} is not a finite number")
    return number
