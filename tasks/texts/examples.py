"""Texts and pairs of texts with what is known of them, and the columns of a row that hold both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.rows import Row, require_cell
from model.errors import InputError
from tasks.formats.labels import is_missing, label_name
from tasks.formats.rows import find_cell, text_cell


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair of texts, and its label."""

    id: str
    text: str
    pair: str | None = None
    label: Any = None
    """A class, a value, a tuple of labels, or values by name, as the kind of task has it; None in a
    test set whose answers are kept back."""
    remark: str = field(default="", compare=False, repr=False)
    """On what of the label's cell was left out."""


@dataclass(frozen=True)
class TextColumns:
    """The names of the cells of a row, which holds a class.

    The first of several names that a row has is taken: published files and the hub differ.
    """

    text: Sequence[str]
    pair: Sequence[str] = ()
    """Empty: the texts come alone."""
    label: Sequence[str] = ("label",)
    codes: tuple[str, ...] = ()
    """What files write for each label, in the order of the task's labels; empty: its name."""
    id: Sequence[str] = ()
    """Empty: the number of the row, from 0."""
    own: bool = False
    """The names were given by flags, which messages then mention."""

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> TextExample:
        """As `tasks.formats.rows.Columns` has it."""
        flags = ("--data.text-field", "--data.pair-field")
        text_flag, pair_flag = flags if self.own else ("", "")
        name = find_cell(row, self.id)
        text = text_cell(row, self.text, text_flag)
        pair = text_cell(row, self.pair, pair_flag) if self.pair else None
        label, remark = self.read_label(row, labels, labelled)
        return TextExample(str(number if name is None else name), text, pair, label, remark)

    def read_label(self, row: Row, labels: tuple[str, ...], labelled: bool) -> tuple[Any, str]:
        """The label in a row, None where it may be missing and is, and a remark on its cell."""
        value = self.label_cell(row, labelled)
        if not labelled and is_missing(value):
            return None, ""
        name, remark = label_name(value, row.place)
        name = dict(zip(self.codes, labels, strict=False)).get(name, name)
        if labels and name not in labels:
            raise unknown_label(name, self.codes or labels, row.place)
        return name, remark

    def label_cell(self, row: Row, labelled: bool) -> Any:
        """The cell of the label; an InputError if a `labelled` row has none."""
        if labelled:
            require_cell(row, self.label, "--data.label-field" if self.own else "")
        return find_cell(row, self.label)


def unknown_label(name: str, known: Sequence[str], place: str) -> InputError:
    """The error of a label that none of the known ones is."""
    return InputError(f"{place}: the label {name!r} is none of {', '.join(known)}")


def cells_of_columns(row: Row, columns: Sequence[str], labelled: bool) -> dict[str, Any] | None:
    """The cells under all these columns, each of a label; None if a row may lack them, and does.

    Raises:
        InputError: a column is not there.
    """
    if not labelled and all(is_missing(row.cells.get(name)) for name in columns):
        return None
    for name in columns:
        require_cell(row, (name,), "--data.label-fields")
    return {name: row.cells[name] for name in columns}
