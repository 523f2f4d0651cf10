"""Where the time of a run goes: waiting for data, traces, and when the host asks the device."""

import json
import time
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.storage.run_folder import read_metrics
from model.errors import InputError
from tests import runs
from train.config import RunConfig, updates_to_trace
from train.distill import distill
from train.loop import fit as loop
from train.loop.fit import fit
from train.loop.learner import Learner
from train.loop.profiling import Tracer, timed
from train.pretrain import pretrain
from train.update.parallel import Parallel
from train.update.step import TrainState


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


def test_the_time_inside_next_is_measured():
    def slow():
        for number in range(3):
            time.sleep(0.05)
            yield {"input_ids": np.full(1, number)}

    times = []
    for batch, seconds in islice(timed(slow()), 3):
        time.sleep(0.02)  # the loop's own work does not count
        times.append((int(batch["input_ids"][0]), seconds))
    assert [number for number, _ in times] == [0, 1, 2]
    assert all(0.05 <= seconds < 0.065 for _, seconds in times)


@pytest.mark.parametrize(
    "text", ["", "10", "10-20", "20:10", "0:5", "a:b", "1:2:3", "-1:4", "1.5:2"]
)
def test_what_is_no_range_of_updates_is_reported(text):
    with pytest.raises(InputError, match="as 10:20"):
        RunConfig(profile=text)


def test_a_range_of_updates(tmp_path):
    assert updates_to_trace("10:20") == (10, 20)
    assert updates_to_trace("7:7") == (7, 7)
    with pytest.raises(InputError, match="the run has only 12 updates"):
        Tracer("13:20", tmp_path, 12)


def traced(folder):
    """The events of the only trace in a run folder: name and the arguments of each."""
    (path,) = (folder / "tensorboard" / "plugins" / "profile").glob("*/*.xplane.pb")
    data = jax.profiler.ProfileData.from_file(str(path))
    events = [event for plane in data.planes for line in plane.lines for event in line.events]
    return path.read_bytes(), [(event.name, dict(event.stats)) for event in events]


@pytest.mark.long
@pytest.mark.parametrize(("profile", "expected"), [
    pytest.param("3:5", [3, 4, 5], marks=pytest.mark.slow), ("11:99", [11, 12]),
])  # fmt: skip
def test_a_trace_has_its_updates_and_phases_by_name(home, profile, expected):
    config = runs.distill_config(home, output=home / f"traced-{profile}")
    distill(replace(config, run=replace(config.run, profile=profile)))
    raw, events = traced(config.output)
    updates = [stats["step_num"] for name, stats in events if name == "update"]
    assert updates == expected
    names = {name for name, _ in events}
    assert {"data", "log"} <= names
    # The phases of the step are in the program that the trace holds.
    for phase in (b"prepare", b"teacher", b"student", b"losses", b"optimizer"):
        assert b"/" + phase + b"/" in raw or b"(" + phase + b")" in raw, phase


class Late:
    """A metric of a step; the host notes when it asks for it."""

    def __init__(self, events, number):
        self.events, self.number = events, number

    def __array__(self, *_args, **_options):
        self.events.append(("fetch", self.number))
        return np.float32(1.0)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([2, 2, 2, 2, 2], "s1 s2 f1 s3 f2 s4 f3 f4"),
        # What a new length takes to compile is not to be time of the update before.
        ([2, 2, 3, 2, 2], "s1 s2 f1 f2 s3 s4 f3 f4"),
    ],
)
def test_the_host_asks_for_nothing_but_the_metrics_of_the_step_before(home, lengths, expected):
    events = []
    steps = iter(range(1, 5))

    def step(state, constants, batch, keys):
        number = next(steps)
        events.append(("step", number))
        metrics: Any = {"loss": Late(events, number)}
        return state, metrics

    class Data:
        batch_size, updates_per_epoch = 1, Fraction(1)

        def __len__(self):
            return 4

        def tokens(self, step):
            return 1

        def iterate(self, start):
            yield from ({"input_ids": np.zeros((1, 1, length), np.int32)} for length in lengths)

    params = {"kernel": jnp.zeros(2)}
    state = TrainState(params, (), jnp.zeros((), jnp.int32))
    name = f"late-{lengths[2]}"
    config = runs.pretrain_config(home, output=home / name, steps=4, evaluate_every=4)
    config = replace(config, run=RunConfig(checkpoint_every=4, devices=1))
    fit(
        config,
        kind="pretrain",
        title="nothing",
        learner=Learner(state, step, lambda params, folder: None),
        batches=Data(),
        parallel=Parallel(config.run),
        constants={},
        evaluate=lambda params, constants: {},
        facts={},
    )
    assert " ".join(f"{kind[0]}{number}" for kind, number in events) == expected
    marked = [row["step"] for row in read_metrics(config.output) if "compiles" in row]
    assert marked == ([1] if lengths[2] == 2 else [1, 3])


@pytest.mark.long
def test_nothing_is_sent_to_the_device_by_accident(home, monkeypatch):
    """In the loop only what is placed there with intent."""
    begin = loop.timed

    def guarded(batches):
        for item in begin(batches):
            with jax.transfer_guard_host_to_device("disallow"):
                yield item

    monkeypatch.setattr(loop, "timed", guarded)
    config = runs.pretrain_config(home, output=home / "guarded", evaluate_every=100)
    pretrain(replace(config, run=replace(config.run, checkpoint_every=100)))


@pytest.mark.long
def test_a_run_records_how_long_it_waited_for_data(home):
    config = runs.pretrain_config(home, output=home / "waited")
    pretrain(config)
    lines = (config.output / "metrics.jsonl").read_text().splitlines()
    waits = [row["data_seconds"] for row in map(json.loads, lines) if row["kind"] == "train"]
    assert len(waits) == 12
    assert all(0 < seconds < 5 for seconds in waits)
    assert "Waiting for data took" in (config.output / "report.md").read_text()
