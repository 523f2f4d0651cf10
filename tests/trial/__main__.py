"""The trial: disturbs runs and their files at random, and counts what held.

    python -m tests.trial flips --number 1000
    python -m tests.trial kills --seed 7
    unshare --map-root-user --mount python -m tests.trial all

It prints a line for each group (tried, held, failed), what failed with its command, and ends with
status 1 if anything did. The same seed makes the same attempts, but for the moment of a kill. The
trial of disks mounts small ones of its own, so it is for root, or for the root of a namespace as
above.
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

# The environment of tests, which has to be there before JAX: CPU, four devices, no network.
from tests import conftest  # noqa: F401
from tests.trial.compiled import compiled
from tests.trial.counting import Attempt, count
from tests.trial.devices import devices
from tests.trial.disks import disks
from tests.trial.flips import flips
from tests.trial.kills import kills
from tests.trial.settings import settings

# What makes the attempts of a group, and how many unless they are given.
GROUPS: dict[str, tuple[Callable[[random.Random, int], Iterator[Attempt]], int]] = {
    "flips": (flips, 100),
    "settings": (settings, 500),
    "kills": (kills, 20),
    "devices": (devices, 4),
    "disk": (disks, 6),
    "compiled": (compiled, 6),
}


@dataclass(frozen=True)
class Trial:
    """The attempts to make."""

    group: Annotated[
        Literal["all", "flips", "settings", "kills", "devices", "disk", "compiled"],
        tyro.conf.Positional,
    ]
    """flips: bits, cuts and deletions in checkpoints and prepared data. settings: numbers out of
    range, and names that are none. kills: SIGKILL at a random moment of each loop. devices: a
    killed run goes on with other devices and processes. disk: full, without inodes or read-only
    while a run saves. compiled: damage in the cache of compiled programs."""
    number: int | None = None
    """Attempts in a group; by default 4 to 500, as they take long."""
    seed: int = 0


def main(trial: Trial) -> int:
    failed = 0
    for group in GROUPS if trial.group == "all" else [trial.group]:
        attempts, usual = GROUPS[group]
        if group == "disk" and os.geteuid() != 0:
            sys.exit("the trial of disks mounts some: put `unshare --map-root-user --mount` before")
        number = usual if trial.number is None else trial.number
        counts = count(attempts(random.Random(f"{trial.seed} {group}"), number))
        print(f"{group:<9} {counts}", flush=True)
        failed += counts.failed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Trial, description=__doc__)))
