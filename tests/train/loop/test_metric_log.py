import io
import json
import random
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xxhash
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore

from data.storage.run_folder import read_metrics, without_compilation
from model.errors import InputError
from report.tables import duration
from tests.disk import damage, full_disk
from train.loop.metric_log import MetricLog

TIMINGS = ("seconds", "data_seconds", "tokens_per_second", "compiles")


def open_log(folder: Path, *, start: int = 0, total: int = 20, **options) -> MetricLog:
    options.setdefault("console", Console(file=io.StringIO()))
    if start and "extent" not in options:
        options["extent"] = extent(folder, start)
    return MetricLog(folder, total_steps=total, start_step=start, **options)


def extent(folder: Path, step: int) -> tuple[int, str]:
    """The record up to `step` as its checkpoint knows it, from the rows that are there now."""
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    steps = [re.match(rb'{"step": (\d+), ', line) for line in lines]
    kept = b"".join(x for x, at in zip(lines, steps, strict=True) if at and int(at[1]) <= step)
    return len(kept), xxhash.xxh3_128(kept).hexdigest()


def metrics(step: int) -> dict[str, float]:
    """Made from the step alone, with all the digits a float32 has."""
    rng = np.random.default_rng(step)
    return {name: float(np.float32(rng.lognormal())) for name in ("loss", "mlm", "grad_norm")}


def train(log: MetricLog, first: int, last: int) -> None:
    """A loop that evaluates every 5 steps."""
    if first == 1:
        log.heldout(0, metrics(0))
    for step in range(first, last + 1):
        log.step(step, metrics(step), 128)
        if step % 5 == 0:
            log.heldout(step, metrics(step))
            log.flush()


def without_timings(folder: Path) -> list[dict]:
    rows = read_metrics(folder)
    return [{name: row[name] for name in row if name not in TIMINGS} for row in rows]


def test_numbers_come_back_bit_by_bit(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32)
    values = bits.view(np.float32)[np.isfinite(bits.view(np.float32))]
    with open_log(tmp_path) as log:
        for step, value in enumerate(values, start=1):
            log.step(step, {"loss": float(value)}, 128)
    read = np.array([row["loss"] for row in read_metrics(tmp_path)], np.float32)
    assert read.tobytes() == values.tobytes()


def test_rows_are_in_the_order_of_events_and_say_their_kind(tmp_path):
    with open_log(tmp_path) as log:
        train(log, 1, 6)
    rows = read_metrics(tmp_path)
    kinds = [(row["step"], row["kind"]) for row in rows]
    assert kinds == [(0, "heldout")] + [(s, "train") for s in range(1, 6)] + [
        (5, "heldout"),
        (6, "train"),
    ]
    timings = ["data_seconds", "tokens_per_second", "seconds"]
    assert list(rows[1]) == ["step", "kind", *metrics(1), *timings]


def test_a_row_holds_the_time_since_the_one_before(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("train.loop.metric_log.time.perf_counter", lambda: now)
    with open_log(tmp_path) as log:
        for step, seconds in enumerate([4.0, 0.5, 0.25], start=1):
            now += seconds
            log.step(step, metrics(step), 128)
        now += 7.0
        log.heldout(3, metrics(3))
        now += 0.5
        log.step(4, metrics(4), 128)
    rows = read_metrics(tmp_path)
    assert [row["seconds"] for row in rows] == [4.0, 0.5, 0.25, 7.0, 0.5]
    speeds = [row["tokens_per_second"] for row in rows if row["kind"] == "train"]
    assert speeds == [128 / 4, 128 / 0.5, 128 / 0.25, 128 / 0.5]


def test_what_compiles_is_marked_and_no_measure_of_the_pace(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("train.loop.metric_log.time.perf_counter", lambda: now)
    with open_log(tmp_path) as log:
        for step, seconds in enumerate([30.0, 0.5, 30.0, 0.5], start=1):
            now += seconds
            log.step(step, metrics(step), 128, compiles=seconds == 30.0)
        assert "256 tokens/s  0 s left" in log._status(20, metrics(4))
        assert "256 tokens/s  12% padding" in log._status(4, metrics(4) | {"padding": 0.12})
    rows = read_metrics(tmp_path)
    assert [row.get("compiles") for row in rows] == [1.0, None, 1.0, None]
    assert [row["step"] for row in without_compilation(rows)] == [2, 4]
    assert [row["step"] for row in without_compilation(rows[:1])] == [1]


@pytest.mark.parametrize("checkpoint", [5, 7, 10])
@pytest.mark.parametrize("died_at", [10, 13])
def test_an_interrupted_run_has_the_rows_of_an_undisturbed_one(tmp_path, checkpoint, died_at):
    with open_log(tmp_path / "undisturbed") as log:
        train(log, 1, 20)
    with open_log(tmp_path / "killed") as log:
        train(log, 1, died_at)
    with (tmp_path / "killed/metrics.jsonl").open("a") as file:
        file.write('{"step": 14, "kind": "tra')
    with open_log(tmp_path / "killed", start=checkpoint) as log:
        train(log, checkpoint + 1, 20)
    assert without_timings(tmp_path / "killed") == without_timings(tmp_path / "undisturbed")


def test_rows_before_the_checkpoint_keep_their_bytes(tmp_path):
    with open_log(tmp_path) as log:
        train(log, 1, 9)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    open_log(tmp_path, start=7).__exit__(None, None, None)
    after = (tmp_path / "metrics.jsonl").read_bytes()
    assert before.startswith(after)
    assert [json.loads(line)["step"] for line in after.splitlines()] == [*range(6), 5, 6, 7]


def test_what_a_crash_left_after_the_checkpoint_does_not_matter(tmp_path):
    with open_log(tmp_path) as log:
        train(log, 1, 7)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(bytes(100) + b"\n" + bytes(100))
    with open_log(tmp_path, start=6) as log:
        train(log, 7, 8)
    assert [row["step"] for row in read_metrics(tmp_path)] == [*range(6), 5, 6, 7, 8]


def test_starting_at_0_starts_an_empty_record(tmp_path):
    for _ in range(2):  # the first one was killed before its first checkpoint
        with open_log(tmp_path) as log:
            train(log, 1, 3)
    assert [row["step"] for row in read_metrics(tmp_path)] == [0, 1, 2, 3]


def test_kill_9_loses_no_row_that_was_written(tmp_path):
    script = f"""
import io, itertools, sys
from pathlib import Path
from rich.console import Console
from train.loop.metric_log import MetricLog
log = MetricLog(Path({str(tmp_path)!r}), total_steps=10**9,
                console=Console(file=io.StringIO()))
print("torch" in sys.modules)
for step in itertools.count(1):
    log.step(step, {{"loss": 1 / step}}, 1)
    print(step, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "False\n"  # not needed, and it takes seconds
    for _ in range(50):
        process.stdout.readline()
    process.kill()
    printed = [50, *map(int, process.stdout.read().split("\n")[:-1])][-1]
    process.stdout.close()
    assert process.wait() == -9
    rows = read_metrics(tmp_path)
    assert len(rows) >= printed
    assert [(row["step"], row["loss"]) for row in rows] == [
        (step, 1 / step) for step in range(1, len(rows) + 1)
    ]


@pytest.mark.parametrize("start", [5, 7])
def test_a_run_resumes_upon_its_very_record_or_not_at_all(tmp_path, start):
    """A hundred damages: to one of the rows before the checkpoint, or behind them."""
    with open_log(tmp_path / "run") as log:
        train(log, 1, 10)
    path, known = tmp_path / "run/metrics.jsonl", extent(tmp_path / "run", start)
    whole, chance = path.read_bytes(), random.Random(start)
    for _ in range(100):
        path.write_bytes(whole)
        what = damage(path, chance)
        same = path.exists() and path.read_bytes()[: known[0]] == whole[: known[0]]
        lost = not path.exists() or b"\n" not in path.read_bytes()
        before = path.read_bytes() if path.exists() else None
        out = io.StringIO()
        try:
            with open_log(tmp_path / "run", start=start, extent=known, console=Console(file=out)):
                pass
        except InputError as error:
            assert "is not what it was when checkpoint" in str(error), what
            assert not same and not lost and path.read_bytes() == before, what
        else:
            assert path.read_bytes() == (whole[: known[0]] if same else b""), what
            assert same or lost, what
            assert (f"metrics of the first {start} updates" in out.getvalue()) == (not same), what


@pytest.mark.parametrize("row", [0, 2, 5, 6])
def test_a_row_that_was_removed_is_missed(tmp_path, row):
    with open_log(tmp_path) as log:
        train(log, 1, 7)
    known = extent(tmp_path, 7)
    path = tmp_path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:row] + lines[row + 1 :]))
    with pytest.raises(InputError, match="put back a copy of it, or move it away"):
        open_log(tmp_path, start=7, extent=known)


def test_the_extent_is_that_of_the_rows(tmp_path):
    with open_log(tmp_path) as log:
        train(log, 1, 5)
        assert log.flush() == extent(tmp_path, 5)
    with open_log(tmp_path, start=3) as log:
        assert log.flush() == extent(tmp_path, 3)
        train(log, 4, 9)
        assert log.flush() == extent(tmp_path, 9)


def test_a_record_that_was_moved_away_begins_anew_however_often_the_run_is_stopped(tmp_path):
    with open_log(tmp_path) as log:
        train(log, 1, 7)
    known = extent(tmp_path, 5)
    (tmp_path / "metrics.jsonl").unlink()
    for last in (5, 6, 7):
        out = io.StringIO()
        with open_log(tmp_path, start=5, extent=known, console=Console(file=out)) as log:
            train(log, 6, last)
        assert "metrics of the first 5 updates are not in" in out.getvalue()
    assert [row["step"] for row in read_metrics(tmp_path)] == [6, 7]
    with pytest.raises(InputError, match=r"begins with update 6, and all rows from step 0 on are"):
        read_metrics(tmp_path, whole=True)


ROW = {"step": 2, "kind": "train", "loss": 1.5} | dict.fromkeys(TIMINGS[:3], 0.5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"ste', "is not JSON: b'{\"ste"),
        ("[" * 9999, "is not JSON"),
        ("\0\0\0\0", "is not JSON"),
        ("5", ": it is 5, and must be a table"),
        ("[]", ": it is [], and must be a table"),
        ("{}", ": step is missing, and must be an integer"),
        (ROW | {"step": "2"}, ": step is '2', and must be an integer"),
        (ROW | {"step": True}, ": step is True, and must be an integer"),
        (ROW | {"step": -2}, ": step is -2, and must be between 0"),
        (ROW | {"step": 10**400}, ": step is 1000"),
        (ROW | {"kind": "trian"}, ": kind is 'trian', and must be 'train' or 'heldout'"),
        (ROW | {"kind": ["train"]}, ": kind is ['train'], and must be"),
        (ROW | {"loss": "NaN"}, ": loss is 'NaN', and must be a number"),
        (ROW | {"loss": None}, ": loss is None, and must be a number"),
        (ROW | {"loss": {"mlm": 1.0}}, ": loss is {'mlm': 1.0}, and must be a number"),
        (ROW | {"seconds": float("nan")}, ": seconds is nan, and must be between 0"),
        (ROW | {"seconds": -1.0}, ": seconds is -1.0, and must be between 0"),
        (ROW | {"tokens_per_second": float("inf")}, ": tokens_per_second is inf, and must"),
        ({"step": 2, "kind": "train", "seconds": 1.0}, ": tokens_per_second is missing"),
        ({"step": 2, "kind": "heldout", "loss": 1.0}, ": seconds is missing"),
        (ROW | {"step": 1}, ": update 1 comes after update 1, so rows are missing, doubled or"),
        (ROW | {"step": 0}, ": update 0 comes after update 1, so"),
        (ROW | {"step": 3}, ": update 3 comes after update 1, so"),
        (ROW | {"kind": "heldout"}, ": the evaluation after update 2 comes after update 1, so"),
    ],
)
def test_a_line_that_is_not_the_next_row_is_named(tmp_path, line, message):
    text = line if isinstance(line, str) else json.dumps(line)
    (tmp_path / "metrics.jsonl").write_text(f"{json.dumps(ROW | {'step': 1})}\n{text}\n")
    with pytest.raises(InputError) as caught:
        read_metrics(tmp_path)
    assert f"metrics.jsonl, line 2{'' if message.startswith(':') else ' '}{message}" in str(
        caught.value
    )


def test_a_folder_without_metrics_is_no_run_folder(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        read_metrics(tmp_path)


def test_a_full_disk_is_one_sentence_and_the_run_can_resume(tmp_path):
    with pytest.raises(InputError) as caught, open_log(tmp_path) as log, full_disk(4096):
        train(log, 1, 200)
    assert str(tmp_path) in str(caught.value)
    assert "resumes from the last checkpoint" in str(caught.value)
    steps = [row["step"] for row in without_timings(tmp_path) if row["kind"] == "train"]
    assert 10 < len(steps) < 200
    assert steps == list(range(1, len(steps) + 1))
    with open_log(tmp_path, start=10) as log:
        train(log, 11, 20)
    with open_log(tmp_path / "undisturbed") as log:
        train(log, 1, 20)
    assert without_timings(tmp_path) == without_timings(tmp_path / "undisturbed")


def test_a_disk_that_is_full_at_the_end_does_not_hide_what_went_wrong_before(tmp_path):
    with pytest.raises(KeyError, match="the real one"), open_log(tmp_path) as log:
        log._file.close()
        log._file = Path("/dev/full").open("w")  # noqa: SIM115
        log._file.write("x")
        raise KeyError("the real one")


def read_events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: files by name, and a START forgets what was at its step or later."""
    scalars: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("*tfevents*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.HasField("session_log"):
                for tag, points in scalars.items():
                    scalars[tag] = [point for point in points if point[0] < event.step]
            for value in event.summary.value:
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


@pytest.mark.parametrize("checkpoints", [[10], [10, 15], [10, 10], [15, 10], [10, 0]])
def test_tensorboard_shows_each_step_once_whatever_was_interrupted(tmp_path, checkpoints):
    starts = [0, *checkpoints]
    for start, end in zip(starts, [17] * len(checkpoints) + [20], strict=True):
        with open_log(tmp_path, start=start) as log:
            train(log, start + 1, end)
    shown = read_events(tmp_path / "tensorboard")
    assert shown["train/mlm"] == [(step, metrics(step)["mlm"]) for step in range(1, 21)]
    assert shown["heldout/loss"] == [(step, metrics(step)["loss"]) for step in range(0, 21, 5)]


def test_on_a_pipe_there_is_a_line_for_the_first_steps_and_then_now_and_then(tmp_path):
    out = io.StringIO()
    with open_log(tmp_path, total=250, console=Console(file=out)) as log:
        for step in range(1, 251):
            log.step(step, {"loss": 2.5}, 128)
        log.heldout(250, {"masked_lm_loss": 3.25, "masked_lm_accuracy": 0.125})
        log.say("the [unused1] of " + 29 * "a long line " + "a long line")
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in out.getvalue().splitlines()]
    assert [line[2:9:3] for line in out.getvalue().splitlines()[:7]] == 7 * [":: "]
    assert [line.split("  ")[0] for line in lines] == [
        "step 1/250",
        "step 2/250",
        "step 3/250",
        "step 100/250",
        "step 200/250",
        "step 250/250",
        "step 250",
        "the [unused1] of " + 29 * "a long line " + "a long line",
    ]
    assert "loss 2.5000" in lines[3]
    assert "tokens/s" in lines[3]
    assert lines[3].endswith(" left")
    assert lines[6].endswith("held out: masked_lm_loss 3.25  masked_lm_accuracy 0.125")


def test_on_a_pipe_a_slow_run_is_not_silent_for_long(tmp_path, monkeypatch):
    now, out = 0.0, io.StringIO()
    monkeypatch.setattr("train.loop.metric_log.time.perf_counter", lambda: now)
    with open_log(tmp_path, total=99, console=Console(file=out)) as log:
        for step in range(1, 13):
            now += 6.0
            log.step(step, {"loss": 1.0}, 128)
    steps = [line.split("/")[0][10:] for line in out.getvalue().splitlines()]
    assert steps == ["step 1", "step 2", "step 3", "step 7", "step 11"]
    assert "21 tokens/s  9 min left" in out.getvalue().splitlines()[-1]


def test_a_study_shows_the_losses_of_its_students(tmp_path):
    out = io.StringIO()
    with open_log(tmp_path, console=Console(file=out)) as log:
        log.step(1, {"a/loss": 2.5, "b/loss": 1.5, "b/mlm": 9.0}, 128)
    assert "step 1/20  losses 1.5000 to 2.5000" in out.getvalue()


def test_what_takes_long_is_said_before(tmp_path, monkeypatch):
    now, out = 0.0, io.StringIO()
    monkeypatch.setattr("train.loop.metric_log.time.perf_counter", lambda: now)
    with open_log(tmp_path, console=Console(file=out)) as log:
        log.evaluating()
        log.compiling("the update of 8 × 16 tokens")
        now += 75.0
        log.step(1, metrics(1), 128, compiles=True)
        log.compiling("the update of 8 × 32 tokens")
        log.evaluating()
    lines = [line[10:] for line in out.getvalue().splitlines()]
    assert [line for line in lines if not line.startswith("step")] == [
        "evaluating, once compiled",
        "compiling the update of 8 × 16 tokens",
        "compiling the update of 8 × 32 tokens (the last took 75 s)",
    ]


def test_on_a_terminal_a_bar_shows_loss_speed_and_time_left(tmp_path):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    with open_log(tmp_path, console=console, total=8) as log:
        train(log, 1, 6)
    shown = out.getvalue()
    assert "step 6/8" in shown
    assert f"loss {metrics(6)['loss']:.4f}" in shown
    assert "tokens/s" in shown
    assert "s left" in shown
    heldout = [line for line in shown.split("\n") if "held out:" in line]
    assert len(heldout) == 2  # each once, on a line of its own
    assert "step 6/8" not in heldout[-1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (99.4, "99 s"), (99.6, "2 min"), (3600.0, "60 min"), (11_100.0, "3 h 05 min")],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text
