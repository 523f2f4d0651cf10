"""Documents with summaries, and the columns of a row that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.rows import Row, require_cell
from model.errors import InputError
from tasks.extractive.split import split_sentences
from tasks.formats.rows import IncompleteError, find_cell

_IN, _OUT = ("1", "true", "oracle"), ("0", "false", "non-oracle")  # the last are SciTLDR's names


@dataclass(frozen=True)
class DocumentExample:
    """A document in sentences, with the summaries that people wrote of it."""

    id: str
    sentences: tuple[str, ...]
    references: tuple[str, ...] | None = None
    """One or more; None where they are kept back."""
    chosen: tuple[int, ...] | None = None
    """Chosen of the sentences that are right to choose; None: what the references say decides."""
    title: str | None = None


@dataclass(frozen=True)
class DocumentColumns:
    """The names of the cells of a row.

    The document is a text, which is split into sentences, or a list of them; the summary is a text,
    or a list of several people's.
    """

    document: Sequence[str] = ("text", "document", "sentences")
    summary: Sequence[str] = ("summary",)
    labels: Sequence[str] = ("labels",)
    """A list of 0 and 1, of a document that is a list: whether each sentence is right to choose."""
    title: Sequence[str] = ("title",)
    id: Sequence[str] = ("id",)
    own: bool = False
    """The names were given by flags, which messages then mention."""

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> DocumentExample:
        """As `tasks.formats.rows.Columns` has it."""
        given = self.sentences(row)
        kept = [place for place, sentence in enumerate(given) if sentence.strip()]
        if not kept:
            raise IncompleteError(f"{row.place}: the document has no sentence")
        references, marks = self._references(row, labelled), find_cell(row, self.labels)
        chosen = None
        if marks is not None:
            right = _places(row, marks, len(given), self.labels[0])
            chosen = tuple(place for place, old in enumerate(kept) if old in right)
        name, title = find_cell(row, self.id), find_cell(row, self.title)
        return DocumentExample(
            str(number if name is None else name),
            tuple(" ".join(given[place].split()) for place in kept),
            references,
            chosen,
            title if isinstance(title, str) and title.strip() else None,
        )

    def sentences(self, row: Row) -> Sequence[str]:
        """The sentences of a row's document, of which some may be blank.

        Raises:
            InputError: there is no document, or something else in its place.
        """
        name = require_cell(row, self.document, "--data.text-field" if self.own else "")
        value = row.cells[name]
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return value
        if value is None or isinstance(value, str):
            return split_sentences(value or "")
        raise InputError(
            f"{row.place}: {name!r} is {type(value).__name__}, and should be a text or a list of "
            "sentences"
        )

    def _references(self, row: Row, labelled: bool) -> tuple[str, ...] | None:
        if not labelled and find_cell(row, self.summary) is None:
            return None
        name = require_cell(row, self.summary, "--data.label-field" if self.own else "")
        value = row.cells[name]
        references = value if isinstance(value, list) else [value or ""]
        if not all(isinstance(each, str) for each in references):
            raise InputError(
                f"{row.place}: {name!r} should be a text, or a list of several people's texts"
            )
        if not references or not all(each.strip() for each in references):
            raise IncompleteError(f"{row.place}: the summary {name!r} is empty")
        return tuple(references)


def document_of(row: Row) -> str:
    """The document in a row of a user's table, also one that is a list of sentences.

    Raises:
        InputError: there is none, or it has no sentence.
    """
    text = "\n".join(DocumentColumns().sentences(row))
    if not text.strip():
        raise IncompleteError(f"{row.place}: the document has no sentence")
    return text


def _places(row: Row, marks: Any, sentences: int, name: str) -> set[int]:
    """The places of the sentences that are marked."""
    if not isinstance(marks, list) or len(marks) != sentences:
        count = f"{len(marks)} marks" if isinstance(marks, list) else type(marks).__name__
        raise InputError(
            f"{row.place}: {name!r} is {count} for {sentences} sentences: give a list of 0 and 1, "
            "one for each sentence of a list"
        )
    written = [str(mark).strip().lower() for mark in marks]
    for mark in written:
        if mark not in (*_IN, *_OUT):
            raise InputError(f"{row.place}: {name!r} has {mark!r}: give 0 or 1")
    return {place for place, mark in enumerate(written) if mark in _IN}
