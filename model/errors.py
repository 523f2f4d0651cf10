"""The one exception for a user's mistake, and sentences that many places say with it."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any


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


def first_line(error: BaseException) -> str:
    """The first line of an error's message, which may go on for a page; its kind if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")


def at_least_one(settings: Any, *names: str, prefix: str = "--") -> None:
    """Raises InputError unless these numbers, as far as they are given, are 1 or more.

    Args:
        settings: has them as fields; each a number, a tuple of some, or None.
        names: of the fields.
        prefix: what stands before their names in a flag.
    """
    _check_each(settings, names, prefix, lambda number: number >= 1, "at least 1")


def above_zero(settings: Any, *names: str, prefix: str = "--") -> None:
    """As `at_least_one`, for quantities: raises InputError unless they are more than 0."""
    _check_each(settings, names, prefix, lambda number: number > 0, "above 0")


def _check_each(
    settings: Any,
    names: Iterable[str],
    prefix: str,
    fits: Callable[[float], bool],
    wanted: str,
) -> None:
    for name in names:
        value, flag = getattr(settings, name), f"{prefix}{name}".replace("_", "-")
        if value == ():
            raise InputError(f"{flag} names no number, and needs at least one")
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not fits(number):
                raise InputError(f"{flag} is {number}, and must be {wanted}")
