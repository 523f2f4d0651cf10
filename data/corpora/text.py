"""The unit of text that every corpus yields."""

from typing import NamedTuple


class Text(NamedTuple):
    """One or several coherent sentences; the texts of one document are adjacent."""

    text: str
    document: str
    """A stable name of the document, the same on every machine."""
