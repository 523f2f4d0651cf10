"""Attempts, tried one after the other and counted: what held, and what failed."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Attempt:
    """One disturbance, and what has to hold after it."""

    name: str
    """What is disturbed, with the command that can be repeated, if there is one."""
    holds: Callable[[Path], object]
    """Disturbs and checks, in a folder that is empty; raises if something did not hold."""


@dataclass
class Counts:
    """How many attempts were made, and how many of them did not hold."""

    tried: int = 0
    failed: int = 0

    def __str__(self) -> str:
        held = self.tried - self.failed
        return f"tried {self.tried:5}  held {held:5}  failed {self.failed:5}"


def count(attempts: Iterable[Attempt]) -> Counts:
    """Makes the attempts; prints those that fail, and keeps their folders."""
    counts = Counts()
    for attempt in attempts:
        folder = Path(tempfile.mkdtemp(prefix="distilbert-flax-trial-"))
        counts.tried += 1
        try:
            attempt.holds(folder)
        # Anything that is raised is a failure, and those of pytest are no Exceptions.
        except (Exception, pytest.fail.Exception) as error:
            counts.failed += 1
            reason = f"{type(error).__name__}: {error}"
            print(f"failed: {attempt.name:.500}\n  {reason}\n  what it left: {folder}", flush=True)
        else:
            shutil.rmtree(folder)
    return counts
