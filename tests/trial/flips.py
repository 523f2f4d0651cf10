"""Damage on the disk: it is seen, or changes nothing; it never becomes other weights or data."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

from tests.data.storage.test_cache import files_of, sequences
from tests.disk import damage
from tests.train.loop.test_checkpoint import EXTENT, copy_of, restored, same, state
from tests.trial.counting import Attempt
from train.loop.checkpoint import Checkpoints


def flips(chance: random.Random, number: int) -> Iterator[Attempt]:
    """Half of them in checkpoints, half in prepared data."""
    with tempfile.TemporaryDirectory(prefix="distilbert-flax-trial-") as name:
        saved, prepared = Path(name, "saved"), Path(name, "prepared")
        checkpoints = Checkpoints(saved)
        for step in (3, 7):
            checkpoints.save(state(step), {"kind": "test"}, EXTENT)
        checkpoints.close()
        expected = sequences(prepared)
        for index in range(number):
            if index % 2:
                yield Attempt("prepared data", partial(data_holds, prepared, expected, chance))
            else:
                yield Attempt("a checkpoint", partial(checkpoint_holds, saved, chance))


def checkpoint_holds(saved: Path, chance: random.Random, folder: Path) -> None:
    """The newest checkpoint comes back bitwise; or it is named, and the one before does."""
    run = copy_of(saved, folder)
    files = [path for path in (run / "checkpoints" / "7").rglob("*") if path.is_file()]
    # Large files are hit as often as a disk would hit them, small ones as often in other attempts.
    sizes = [path.stat().st_size + 1 for path in files] if chance.random() < 0.5 else None
    what = damage(chance.choices(files, sizes)[0], chance)
    with redirect_stdout(StringIO()) as printed:
        found = restored(run)
    step = int(found.step)
    assert step in (3, 7) and same(found, state(step)), f"{what}: other weights"
    assert step == 7 or "checkpoint 7 is damaged" in printed.getvalue(), f"{what}: not said"


def data_holds(prepared: Path, expected: bytes, chance: random.Random, folder: Path) -> None:
    """The data are bitwise those that were prepared, or made again."""
    home = Path(shutil.copytree(prepared, folder / "home"))
    what = damage(chance.choice(files_of(home)), chance)
    with redirect_stderr(StringIO()):
        assert sequences(home) == expected, f"{what}: other data"
