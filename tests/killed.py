"""Processes that die of their own hand (SIGKILL, which nothing can catch) at a given moment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

PRELUDE = """
import os, signal, sys
from pathlib import Path

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
"""


def killed(code: str, folder: Path) -> None:
    """Runs Python that calls `die()` at some moment; it finds `folder`, `die` and `Path`."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(folder)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
