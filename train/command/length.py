"""Lengths of runs: epochs that somebody gives stand in place of the updates of a recipe."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

from model.errors import InputError
from train.config import TrainConfig

Config = TypeVar("Config")


def for_flags(recipe: Callable[[], Config], flags: Sequence[str]) -> Callable[[], Config]:
    """The recipe, without updates of its own where these flags have the epochs.

    Of a study that is its base.

    Raises:
        InputError: the flags have both.
    """
    given = {flag.partition("=")[0].removeprefix("--") for flag in flags if flag.startswith("--")}
    return _without_steps(recipe) if in_epochs(given, "--") else recipe


def in_epochs(given: Collection[str], flag: str = "") -> bool:
    """True if the length of a run is among these settings, in epochs.

    `flag` is the beginning of a setting's name in messages.

    Raises:
        InputError: it is among them in updates, too.
    """
    if "epochs" in given and "steps" in given:
        raise InputError(
            f"{flag}epochs and {flag}steps are both given, and each is the length of the run: "
            "leave out one"
        )
    return "epochs" in given


def _without_steps(recipe: Callable[[], Any]) -> Callable[[], Any]:
    @wraps(recipe)
    def changed() -> Any:
        config = recipe()
        if isinstance(config, TrainConfig):
            return replace(config, steps=None)
        return replace(config, base=replace(config.base, steps=None))

    return changed
