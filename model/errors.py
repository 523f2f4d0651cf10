"""The exception for a user's mistakes, with phrases that many modules share."""

import difflib
from collections.abc import Iterable, Sequence

from model.terminal import visible


class InputError(ValueError):
    """Bad input, described in one sentence: what is wrong, where, and what would be right.

    Commands print the message without a traceback and exit with status 2. It is one line, whatever
    the names in it are.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The end of a message about an unknown name: the most similar known name, or else all.

    Args:
        name: the unknown name.
        known: the known names.
        cutoff: the least similarity, from 0 to 1; with 0 there is always a similar name.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, which may fill a page; its type if there is none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")


def first_of(names: Sequence[str], most: int) -> str:
    """The first names of many in a sentence, and how many more there are."""
    first = ", ".join(names[:most])
    return f"{first} and {len(names) - most:,} more" if len(names) > most else first
