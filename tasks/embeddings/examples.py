"""Pairs of texts that belong together or are alike, and the columns of a row that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.rows import Row
from model.errors import InputError
from tasks.formats.labels import is_missing
from tasks.formats.rows import find_cell, finite_number, text_cell


@dataclass(frozen=True)
class PairExample:
    """A query and a document that answers it, or two texts and how much they are alike."""

    id: str
    query: str
    document: str
    negatives: tuple[str, ...] = ()
    """Documents that do not answer the query, though they look as if they did."""
    score: float | None = None
    """The likeness of the texts; None where they simply belong together."""
    key: str = ""
    """Common to queries with the same right documents; by default their text."""

    @property
    def group(self) -> str:
        return self.key or self.query


@dataclass(frozen=True)
class PairColumns:
    """Rows with `query` and `document`, and perhaps `negatives`, a `score` and a `key`.

    The first of several names that a row has is taken. `negatives` is a list of texts; a table may
    have one `negative`.
    """

    query: Sequence[str] = ("query",)
    document: Sequence[str] = ("document",)
    score: Sequence[str] = ("score", "grade")
    id: Sequence[str] = ("id",)
    own: bool = False
    """The names were given by flags, which messages then mention."""

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> PairExample:
        """As `tasks.formats.rows.Columns` has it; no row must have a score."""
        flags = ("--data.text-field", "--data.pair-field") if self.own else ("", "")
        query, document = (
            text_cell(row, names, flag)
            for names, flag in zip((self.query, self.document), flags, strict=True)
        )
        name, key = find_cell(row, self.id), find_cell(row, ("key",))
        score, negatives = find_cell(row, self.score), _negatives(row)
        for negative in negatives:
            if negative in (query, document):
                raise InputError(
                    f"{row.place}: a negative is the text of the query or of the document, "
                    f"{negative!r:.60}: leave it out"
                )
        return PairExample(
            str(number if name is None else name),
            query,
            document,
            negatives,
            None if is_missing(score) else finite_number(row, score, "the score"),
            "" if is_missing(key) else str(key),
        )


def _negatives(row: Row) -> tuple[str, ...]:
    if "negative" in row.cells:
        if "negatives" in row.cells:
            raise InputError(f"{row.place}: there are 'negative' and 'negatives': leave one out")
        given: Any = [row.cells["negative"] or ""]
        given = [text for text in given if not isinstance(text, str) or text.strip()]
    else:
        given = row.cells.get("negatives") or []
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise InputError(
            f"{row.place}: 'negatives' is {given!r:.60}, and should be a list of texts, or one "
            "text called 'negative'"
        )
    if not all(text.strip() for text in given):
        raise InputError(f"{row.place}: one of the negatives is empty: leave it out")
    return tuple(dict.fromkeys(given))
