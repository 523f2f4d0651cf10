"""A disk that is full, and files that were damaged or edited."""

import math
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.errors import InputError


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file may grow beyond `room` bytes; the kernel refuses as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def damage(path: Path, chance: random.Random) -> str:
    """Flips a bit of a file, cuts it short or removes it."""
    content = bytearray(path.read_bytes())
    kind = chance.choice(("flip", "flip", "cut", "remove")) if content else "remove"
    if kind == "remove":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(content[: chance.randrange(len(content))])
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
    return f"{kind} {path}"


def edited_by_hand(value: Any, chance: random.Random) -> Any:
    """The value with one thing in it lost or of another kind."""
    odd = [None, "NaN", 5, -1, 1e400, -1e400, math.nan, 10**30, [], {}, True, "", [{}]]
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        if chance.random() < 0.3:
            return {key: item for key, item in value.items() if key != name}
        return value | {name: edited_by_hand(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        kept = [value[:place], value[place : place + 1] * 2, value[place + 1 :]]
        kept[1] = chance.choice([[], kept[1], [edited_by_hand(value[place], chance)]])
        return [item for part in kept for item in part]
    return chance.choice(odd)


def written_or_refused(report: Callable[[Path], object], folder: Path) -> str:
    """Whether a report of a folder is written, or refused in one sentence that names the folder."""
    try:
        report(folder)
    except InputError as error:
        assert str(folder) in str(error) and "\n" not in str(error)
        return "refused"
    return "written"
