"""Trackers get the numbers of metrics.jsonl: stand-ins for two libraries, and one offline."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from data.storage.run_folder import read_metrics
from model.errors import InputError
from tests.train.loop.test_metric_log import open_log, train
from train.config import RunConfig
from train.loop.tracking import check_tracker

STAND_IN = """
import json, pathlib
calls = []
def init(**options): calls.append(("init", options))
def log(numbers, step): calls.append((step, numbers))
def finish(): calls.append(("finish", {}))
"""


@pytest.fixture(params=["wandb", "trackio"])
def library(request, tmp_path, monkeypatch):
    """The name of a library whose place a module takes that writes down how it is called."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    (folder / f"{request.param}.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(folder)
    yield request.param
    sys.modules.pop(request.param, None)


def test_a_tracker_gets_what_metrics_jsonl_has(library, tmp_path):
    with open_log(tmp_path / "run", track=library, settings={"seed": 1}) as log:
        train(log, 1, 6)
    (_, options), *calls, (last, _) = sys.modules[library].calls
    assert last == "finish"
    assert (options["project"], options["name"]) == ("distilbert-flax", "run")
    assert options["config"] == {"seed": 1} and options["resume"] == "allow"
    expected = [
        (
            row["step"],
            {f"{row['kind']}/{n}": v for n, v in row.items() if n not in ("step", "kind")},
        )
        for row in read_metrics(tmp_path / "run")
    ]
    assert calls == expected


def test_a_tracker_that_fails_stops_no_run(library, tmp_path, monkeypatch, capsys):
    with open_log(tmp_path / "run", track=library, console=None) as log:
        monkeypatch.setattr(sys.modules[library], "log", lambda *_, **__: 1 / 0)
        train(log, 1, 6)
        shown = capsys.readouterr().out
    assert f"{library} takes no more metrics (division by zero); metrics.jsonl has all" in shown
    assert shown.count("takes no more") == 1 and len(read_metrics(tmp_path / "run")) == 8


def test_a_tracker_that_does_not_start_is_one_sentence(library, tmp_path, monkeypatch):
    __import__(library)
    monkeypatch.setattr(sys.modules[library], "init", lambda **_: 1 / 0)
    with pytest.raises(InputError, match=f"--run.track {library} does not start: division by zero"):
        open_log(tmp_path / "run", track=library)


def test_a_library_that_is_not_there_is_told_before_the_run(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"wandb: it is not installed \(pip install wandb\)"):
        RunConfig(track="wandb")
    check_tracker(None)


OFFLINE = """
from pathlib import Path
from train.loop.metric_log import MetricLog
with MetricLog(Path("run"), total_steps=3, track="wandb", settings={"seed": 1}) as log:
    for step in (1, 2, 3):
        log.step(step, {"loss": 1.0 / step}, 128)
"""


@pytest.mark.long
@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
def test_weights_and_biases_writes_a_run_without_network(tmp_path):
    root = Path(__file__).parents[3]
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", OFFLINE]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "run").rglob("*.wandb")
    assert b"train/loss" in record.read_bytes()
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["step"] == 3
