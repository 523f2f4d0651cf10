"""Texts and pairs of texts with a class or a value, and the columns of a row that hold them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.rows import Row, require_cell
from model.errors import InputError
from tasks.formats.labels import is_missing, label_name
from tasks.formats.rows import find_cell, text_cell


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair of texts, and its class (a name) or value (a number)."""

    id: str
    text: str
    pair: str | None = None
    label: str | float | None = None
    """None in a test set whose answers are kept back."""
    remark: str = field(default="", compare=False, repr=False)
    """On what of the label's cell was left out."""


@dataclass(frozen=True)
class TextColumns:
    """The names of the cells of a row.

    The first of several names that a row has is taken: published files and the hub differ.
    """

    text: Sequence[str]
    pair: Sequence[str] = ()
    """Empty: the texts come alone."""
    label: Sequence[str] = ("label",)
    codes: tuple[str, ...] = ()
    """What files write for each label, in the order of the task's labels; empty: its name."""
    number: bool = False
    """Labels are values."""
    id: Sequence[str] = ()
    """Empty: the number of the row, from 0."""
    own: bool = False
    """The names were given by flags, which messages then mention."""

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> TextExample:
        """As `tasks.formats.rows.Columns` has it."""
        flags = ("--data.text-field", "--data.pair-field", "--data.label-field")
        text_flag, pair_flag, label_flag = flags if self.own else ("", "", "")
        name = find_cell(row, self.id)
        text = text_cell(row, self.text, text_flag)
        pair = text_cell(row, self.pair, pair_flag) if self.pair else None
        if labelled:
            require_cell(row, self.label, label_flag)
        value = find_cell(row, self.label)
        label, remark = None, ""
        if labelled or not is_missing(value):
            if self.number:
                label = self._value(row, value)
            else:
                label, remark = self._class(row, value, labels)
        return TextExample(str(number if name is None else name), text, pair, label, remark)

    def _class(self, row: Row, value: Any, labels: tuple[str, ...]) -> tuple[str, str]:
        name, remark = label_name(value, row.place)
        name = dict(zip(self.codes, labels, strict=False)).get(name, name)
        if labels and name not in labels:
            allowed = ", ".join(self.codes or labels)
            raise InputError(f"{row.place}: the label {name!r} is none of {allowed}")
        return name, remark

    def _value(self, row: Row, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{row.place}: the label {value!r} is not a finite number")
        return number
