"""Disks that refuse while a run saves: one sentence, and the same command resumes on a good one."""

import random
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.trial.counting import Attempt
from tests.trial.loops import COMMANDS, EVERY, UPDATES, Try, command, undisturbed

ROOMY = "size=1g,nr_inodes=100k"


def disks(chance: random.Random, number: int) -> Iterator[Attempt]:
    """Full, without inodes, and read-only from some checkpoint on, in turns."""
    for index in range(number):
        loop = chance.choice([*COMMANDS])
        used = [path.stat() for path in undisturbed(loop).output.rglob("*")]
        pages = sum(file.st_size // 4096 + 1 for file in used)
        share, step = chance.uniform(0.1, 0.9), chance.randrange(EVERY, UPDATES, EVERY)
        limit = (f"size={int(share * pages) * 4}k", f"nr_inodes={int(share * len(used))}", "")
        trouble = limit[index % 3] or f"read-only after update {step}"
        holds = partial(says_so_and_resumes, loop, limit[index % 3], step)
        yield Attempt(f"a disk, {trouble}: {command(loop)}", holds)


def says_so_and_resumes(loop: str, limit: str, step: int, folder: Path) -> None:
    """On a disk with a limit, or without one that is read-only after `step` updates."""
    run = Try(loop, folder)
    run.output.mkdir()
    _mount("-t", "tmpfs", "-o", f"{ROOMY},{limit}".rstrip(","), "none", run.output)
    if not limit:
        locked = folder / "read-only"
        locked.mkdir()
        _mount("--bind", run.output, locked)
        _mount("-o", "remount,bind,ro", locked)
    try:
        process = run.start()
        if not limit:
            while process.poll() is None and _saved(run.output) < step:
                time.sleep(0.01)
            _mount("--bind", locked, run.output)  # over it, as writers have files open there
        status = process.wait()
        if limit:
            _mount("-o", f"remount,{ROOMY}", run.output)
        else:
            _unmount(run.output, locked)
        if status != 0:
            *_, last = run.screen.splitlines()
            assert status == 2 and last.startswith("error: "), f"status {status}:\n{run.screen}"
        run.ends_as_undisturbed()
    finally:
        _unmount(run.output)


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def _unmount(*places: Path) -> None:
    subprocess.run(["umount", *places], check=True)


def _saved(output: Path) -> int:
    """The step of the newest checkpoint of a run, or of a study's first."""
    places = [*output.glob("checkpoints/*"), *output.glob("seed-*/checkpoints/*")]
    return max((int(path.name) for path in places if path.name.isdigit()), default=0)
