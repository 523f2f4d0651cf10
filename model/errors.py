"""The one exception for a user's mistake, and how it helps with a name that is not known."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input, told in one sentence: what is wrong, where, and what would be right.

    Commands print its message and exit with status 2; nobody sees a traceback.
    """


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The end of a message about an unknown name: the nearest that there is, or else all.

    Args:
        name: what was given.
        known: what there is.
        cutoff: how like it the nearest must be, from 0 to 1; with 0 there always is one.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
