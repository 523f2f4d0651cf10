"""A run killed at any moment and started again ends as if nothing had happened, bit by bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import runs

# What one process does: the tiny pretraining run, until it dies of its own hand (SIGKILL, which
# nothing can catch) when step KILL is written, or while the first checkpoint of this try is being
# saved, when Orbax's temporary folder stands there.
COMMAND = """
import os, signal, sys, threading, time
from pathlib import Path

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def watch(folder):
    known = set(folder.glob("*"))
    while True:
        if any("tmp" in path.name for path in set(folder.glob("*")) - known):
            die()
        time.sleep(0.0005)

home, when = Path(sys.argv[1]), sys.argv[2]
from tests import runs
from train.loop.metric_log import MetricLog
from train.pretrain import pretrain

config = runs.pretrain_config(home, output=home / sys.argv[3])
if when == "save":
    threading.Thread(target=watch, args=[config.output / "checkpoints"], daemon=True).start()
elif when != "never":
    write = MetricLog.step
    def step(self, now, metrics, tokens, **more):
        write(self, now, metrics, tokens, **more)
        if now == int(when):
            die()
    MetricLog.step = step
pretrain(config)
"""


def run(home: Path, when: str, output: str) -> int:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(home), when, output],
        cwd=root,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.slow
def test_killed_runs_resume_bit_by_bit(tmp_path):
    home = runs.make_home(tmp_path)
    assert run(home, "never", "undisturbed") == 0
    # Before the first checkpoint, during a save, between checkpoints, right at one.
    for when in ("2", "save", "8", "9"):
        assert run(home, when, "killed") == -signal.SIGKILL, when
        if when == "save":
            left = [path.name for path in (home / "killed" / "checkpoints").iterdir()]
            assert any("tmp" in name for name in left), left
    assert run(home, "never", "killed") == 0
    assert runs.weights(home / "killed") == runs.weights(home / "undisturbed")
    assert runs.metrics(home / "killed") == runs.metrics(home / "undisturbed")
