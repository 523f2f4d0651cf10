"""The columns of a row that hold any number of labels for a text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.rows import Row
from model.errors import InputError
from tasks.formats.labels import is_missing, label_name
from tasks.texts.examples import TextColumns, cells_of_columns, unknown_label

_MEANINGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


@dataclass(frozen=True)
class LabelColumns(TextColumns):
    """The names of the cells of a row: a list of labels, or 0 or 1 in a column for each label."""

    several: Sequence[str] = ()
    """These columns, called as their labels; empty: there is one list, under `label`."""

    def read_label(self, row: Row, labels: tuple[str, ...], labelled: bool) -> tuple[Any, str]:
        if self.several:
            cells = cells_of_columns(row, self.several, labelled)
            return None if cells is None else _given(row, cells), ""
        value = self.label_cell(row, labelled)
        if not labelled and is_missing(value):
            return None, ""
        if not isinstance(value, list):
            raise InputError(
                f'{row.place}: the labels are no list, as ["a", "b"], or [] for none, but '
                f"{value!r:.60}: name a list with --data.label-field or, for each label, a column "
                "of 0 and 1 with --data.label-fields"
            )
        found = [label_name(item, row.place) for item in value]
        names = tuple(name for name, _ in found)
        for name, count in Counter(names).items():
            if count > 1:
                raise InputError(f"{row.place}: the label {name!r} is there {count} times")
            if labels and name not in labels:
                raise unknown_label(name, labels, row.place)
        return names, next((remark for _, remark in found if remark), "")


def _given(row: Row, cells: dict[str, Any]) -> tuple[str, ...]:
    """The labels whose cells say yes."""
    names = []
    for name, value in cells.items():
        meaning = _MEANINGS.get(str(value).strip().casefold())
        if meaning is None:
            raise InputError(
                f"{row.place}: {name!r} is {value!r:.60}, and a label has 0 or 1 there, or false "
                "or true"
            )
        if meaning:
            names.append(name)
    return tuple(names)
