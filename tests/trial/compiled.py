"""Damage in the cache of compiled programs: they are compiled again, and the run is the same."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.disk import damage
from tests.trial.counting import Attempt
from tests.trial.loops import COMMANDS, Try, command, undisturbed

CACHE = "DISTILBERT_FLAX_CACHE"


def compiled(chance: random.Random, number: int) -> Iterator[Attempt]:
    for index in range(number):
        loop = [*COMMANDS][index % len(COMMANDS)]
        undisturbed(loop)  # which fills the cache

        def holds(folder: Path, loop: str = loop) -> None:
            programs = folder / "compiled"
            shutil.copytree(Path(os.environ[CACHE]) / "compiled", programs)
            for program in sorted(programs.iterdir()):
                if chance.random() < 0.5:
                    damage(program, chance)
            Try(loop, folder).ends_as_undisturbed(**{CACHE: str(folder)})

        yield Attempt(f"half of the compiled programs damaged: {command(loop)}", holds)
