"""The metrics of a run in Weights & Biases or Trackio, for those who compare runs there.

These libraries are not needed otherwise. They get the numbers of metrics.jsonl, which stays the
record: if one of them stops taking numbers, the run goes on.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xxhash

from model.errors import InputError, first_line

PROJECT = "distilbert-flax"


def check_tracker(name: str | None) -> None:
    """Raises InputError if the library is not installed."""
    if name is not None and importlib.util.find_spec(name) is None:
        raise InputError(f"--run.track {name}: it is not installed (pip install {name})")


class Tracker:
    """A run there, called as its folder; a run that resumes goes on there too.

    Raises:
        InputError: the library does not start, because it wants a login, say.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Mapping[str, Any],
        say: Callable[[str], None],
    ):
        self.name, self._say = name, say
        place = folder.absolute()
        options: dict[str, Any] = {"project": PROJECT, "config": dict(settings), "resume": "allow"}
        if name == "wandb":
            # The name of the folder is what a person reads, its path what a run resumes by.
            options |= {"id": xxhash.xxh3_64_hexdigest(str(place).encode()), "dir": str(place)}
        try:
            self._library = importlib.import_module(name)
            self._library.init(name=place.name, **options)
        except Exception as error:  # of the library, of the network
            raise InputError(f"--run.track {name} does not start: {first_line(error)}") from None
        self._works = True

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        if self._works:
            self._tried(lambda: self._library.log(dict(numbers), step=step))

    def close(self) -> None:
        if self._works:
            self._tried(self._library.finish)

    def _tried(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            self._works = False
            self._say(
                f"{self.name} takes no more metrics ({first_line(error)}); metrics.jsonl has all"
            )
