"""The four loops as a user's commands, at a size that can be run often, and what they leave."""

import atexit
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from model.hf.temporaries import PREFIX
from tests import runs
from tests.processes import ROOT

UPDATES = 24
EVERY = 4
"""Updates between two checkpoints: so many that a good part of a run is saving."""

ALL = f"--steps {UPDATES} --batch-size 8 --evaluate-every 12 --run.checkpoint-every {EVERY}"
ALL += " --run.devices 1"
TEXT = "--data.corpus corpus --data.heldout-share 0.2 --data.sequence-length 16"
TEXT += " --masking.group-rows 2"
NARROW = "--model.num-layers 2 --model.hidden-size 16 --model.num-heads 2"
NARROW += f" --model.intermediate-size 16 --model.max-positions 16 --model.vocab-size {runs.VOCAB}"
COMMANDS = {
    "pretrain": f"tiny-shallow --data.tokenizer teacher {NARROW} {TEXT} {ALL}",
    "distill": f"tiny --teacher teacher {TEXT} {ALL}",
    "finetune": f"classification --model teacher --data.train rows.csv --reading.max-length 16 "
    f"--buckets 1 {ALL}",
    "ablate": f"study.toml --seeds 2 --teacher teacher {TEXT} {ALL}",
}
STUDY = """
[[variants]]
name = "KL"
[[variants]]
name = "no KL"
settings = {loss.ce.weight = 0}
"""


def command(loop: str) -> str:
    return f"python -m train.{loop} {COMMANDS[loop]}"


@cache
def home() -> Path:
    """A folder with all that the commands read; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="distilbert-flax-trial-home-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    runs.make_home(folder)
    rows = [f"the {word} sees a tree,{number % 2}" for number, word in enumerate(runs.WORDS * 3)]
    (folder / "rows.csv").write_text("\n".join(["text,label", *rows, ""]))
    (folder / "study.toml").write_text(STUDY)
    return folder


@dataclass(frozen=True)
class Try:
    """A command that writes all it makes into a folder; started as often as it takes."""

    loop: str
    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "run"

    @property
    def words(self) -> list[str]:
        words = [f"train.{self.loop}", *COMMANDS[self.loop].split(), "--output", str(self.output)]
        if self.loop != "finetune":
            words += ["--data.cache", str(self.folder / "cache")]
        return words

    @property
    def screen(self) -> str:
        """All that was printed so far, in the order in which it was."""
        return (self.folder / "screen.txt").read_text()

    def start(self, *before: str, **changes: str) -> subprocess.Popen[bytes]:
        """Starts the command, with words before it and changes of the environment."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **changes}
        # What they compile is kept where a user's commands keep it.
        del environment["JAX_COMPILATION_CACHE_DIR"]
        with (self.folder / "screen.txt").open("a") as screen:
            return subprocess.Popen(
                [*before, sys.executable, "-m", *self.words],
                cwd=home(),
                env=environment,
                stdout=screen,
                stderr=subprocess.STDOUT,
            )

    def ends_as_undisturbed(self, **changes: str) -> None:
        """Runs to its end, and checks that what is left is bitwise that of an undisturbed run."""
        status = self.start(**changes).wait()
        assert status == 0, f"the command ends with status {status}:\n{self.screen}"
        assert "Traceback" not in self.screen, self.screen
        found, expected = left_by(self.output), undisturbed(self.loop).left
        names = found.keys() | expected.keys()
        others = [name for name in names if found.get(name) != expected.get(name)]
        assert not others, f"not as in an undisturbed run: {', '.join(sorted(others))}"
        temporary = [p for p in self.output.rglob("*") if PREFIX in p.name or "orbax" in p.name]
        assert not temporary, f"temporaries are left over: {temporary}"


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbs: what it leaves, and its seconds of the processor."""

    output: Path
    left: dict[str, Any]
    seconds: float


@cache
def undisturbed(loop: str) -> Undisturbed:
    """The run of a loop that all others are compared with, after one that compiles."""
    for name in ("compiles", "undisturbed"):
        run = Try(loop, home() / loop / name)
        run.folder.mkdir(parents=True)
        before = _seconds_of_children()
        assert run.start().wait() == 0, run.screen
    return Undisturbed(run.output, left_by(run.output), _seconds_of_children() - before)


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def left_by(output: Path) -> dict[str, Any]:
    """The weights and metrics in a run folder or in that of a study, by the names of the files."""
    weights = {path: path.read_bytes() for path in output.rglob("*.safetensors")}
    metrics = {path: runs.metrics(path.parent) for path in output.rglob("metrics.jsonl")}
    return {str(path.relative_to(output)): held for path, held in (weights | metrics).items()}
