"""The exception for a user's mistakes, with checks and phrases that many modules share."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

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


def at_least_one(settings: Any, *names: str, prefix: str = "--") -> None:
    """Raises InputError unless these settings are 1 or more; None is not checked.

    Args:
        settings: an object whose fields are numbers, tuples of numbers, or None.
        names: the names of the fields to check.
        prefix: the start of their flags.
    """
    _check_each(settings, names, prefix, lambda number: number >= 1, "at least 1")


def above_zero(settings: Any, *names: str, prefix: str = "--") -> None:
    """Raises InputError unless these settings, as in `at_least_one`, are more than 0."""
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
