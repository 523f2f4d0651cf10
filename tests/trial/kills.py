"""SIGKILL at a random moment of each loop: the same command ends as if nothing had happened."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.trial.counting import Attempt
from tests.trial.loops import COMMANDS, Try, command, undisturbed


def kills(chance: random.Random, number: int) -> Iterator[Attempt]:
    """Of the loops in turns; the moment is one in processor time, which other work leaves alone."""
    for index in range(number):
        loop = [*COMMANDS][index % len(COMMANDS)]
        seconds = chance.randint(1, int(undisturbed(loop).seconds))
        yield Attempt(f"killed after {seconds} s: {command(loop)}", partial(resumes, loop, seconds))


def resumes(loop: str, seconds: int, folder: Path) -> None:
    run = Try(loop, folder)
    # The kernel sends SIGKILL to who has used up this limit.
    run.start("prlimit", f"--cpu={seconds}").wait()
    run.ends_as_undisturbed()
