"""Documents with mentions of concepts, whichever format they come in."""

from dataclasses import dataclass

from model.errors import InputError

NO_CONCEPT = ("-1", "-", "", "Unknown", "NIL")
"""Ids by which BC5CDR and ELEVANT say that no concept of the dictionary is meant."""


@dataclass(frozen=True)
class Mention:
    """A stretch of a document that names a concept."""

    start: int
    """Characters of the document before it."""
    text: str
    type: str = ""
    ids: tuple[str, ...] = ()
    """The right concepts, of which any counts: several where a mention is composite ("breast and
    ovarian cancer")."""
    candidates: tuple[str, ...] | None = None
    """The ids among which the right one is to be found; None: all of the dictionary."""
    place: str = ""
    """The file and line, for messages."""


@dataclass(frozen=True)
class Document:
    """A text and its mentions, in their order."""

    id: str
    text: str
    mentions: tuple[Mention, ...]


def concept_ids(cell: str) -> tuple[str, ...]:
    """The ids in a cell: `A|B` is a mention of two concepts, `A+B` of both as one.

    The names of MeSH and OMIM before an id are no part of it: files have it with and without.
    """
    parts = (bare(part) for part in cell.replace("+", "|").split("|"))
    return tuple(part for part in parts if part not in NO_CONCEPT)


def bare(id: str) -> str:
    """An id without the name of its vocabulary, MESH: or OMIM:, before it."""
    return id.strip().removeprefix("MESH:").removeprefix("OMIM:")


def check_spelling(text: str, start: int, end: int, mention: str, place: str) -> None:
    """Raises InputError unless `text[start:end]` is the mention, but for spaces around it."""
    if not 0 <= start < end <= len(text):
        raise InputError(
            f"{place}: the mention {mention!r} is said to be at characters {start} to {end} of a "
            f"text of {len(text)}: places are counted from 0, and the end comes after the mention"
        )
    if text[start:end].strip() != mention.strip():
        raise InputError(
            f"{place}: characters {start} to {end} are {text[start:end]!r}, and not the mention "
            f"{mention!r}: places are counted from 0, in the title, a space and the abstract"
        )
