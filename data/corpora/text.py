"""The unit that corpora deliver and everything after them reads."""

from typing import NamedTuple


class Text(NamedTuple):
    """One or several coherent sentences; the texts of one document stand beside each other."""

    text: str
    document: str
    """A stable name of the document: the same text on another machine has the same one."""
