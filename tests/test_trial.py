"""The counting of the trial (`python -m tests.trial`), which itself takes minutes."""

import re
import tempfile
from pathlib import Path

import pytest

from tests.trial.counting import Attempt, count


def test_attempts_are_counted_and_failures_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def holds(folder: Path) -> None:
        (folder / "there").touch(exist_ok=False)

    def fails(folder: Path) -> None:
        (folder / "there").touch()
        raise ValueError("other weights")

    def accepts(folder: Path) -> None:
        pytest.fail("accepted")

    attempts = zip("abcd", (holds, fails, accepts, holds), strict=True)
    counts = count(Attempt(name, check) for name, check in attempts)
    assert str(counts).split() == ["tried", "4", "held", "2", "failed", "2"]
    printed = capsys.readouterr().out
    assert re.findall(r"^failed: (.*)\n  (\w+: .*)$", printed, re.MULTILINE) == [
        ("b", "ValueError: other weights"),
        ("c", "Failed: accepted"),
    ]
    assert len([*tmp_path.iterdir()]) == 2 and [*tmp_path.glob("*/there")]  # of "b" and "c"
