"""Runs of several processes: the same numbers, one record, and what becomes of those left alone."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eval import against_torch
from eval.glue import Glue, run_glue
from model.errors import InputError
from tests import processes, runs
from train import ablate
from train.command.processes import Cluster, find_cluster
from train.command.supervisor import on_all_hosts
from train.loop.checkpoint import Checkpoints
from train.quickstart import Quickstart, quickstart
from train.update.parallel import Parallel, ParallelConfig
from train.update.step import TrainState

NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where a run of one process and one device lies in `one`, and what it read beside it."""
    home = runs.make_home(tmp_path_factory.mktemp("home"))
    (alone,) = processes.run(home, 1, 1, output="one")
    assert alone.status == 0, alone.errors
    return home


def read(home, output, count):
    """The token ids by step and row, and how many rows each process has read of the first step."""
    texts = [(home / f"{output}-read-{index}.json").read_text() for index in range(count)]
    parts = [json.loads(text) for text in texts]
    together = {
        str(step): {row: ids for part in parts for row, ids in part[str(step)].items()}
        for step in range(20)
    }
    return together, [len(part["0"]) for part in parts]


def same_numbers(home, output):
    for row, expected in zip(runs.metrics(home / output), runs.metrics(home / "one"), strict=True):
        assert row["kind"] == expected["kind"] and row["step"] == expected["step"]
        for name in ("loss", "mlm", "masked_lm_loss"):
            if name in expected:
                np.testing.assert_allclose(row[name], expected[name], rtol=1e-6, err_msg=str(row))


def all_ended_well(ends):
    for end in ends:
        assert end.status == 0, end.errors


@pytest.mark.long
def test_two_processes_are_one_run(home):
    """The losses are those of one device; rows are read once, text is tokenised by nobody twice."""
    ends = processes.run(home, 2, 1, output="two")
    all_ended_well(ends)
    same_numbers(home, "two")
    together, rows = read(home, "two", 2)
    assert together == read(home, "one", 1)[0]
    assert rows == [8, 8]
    assert (home / "encoded").read_text().split() == ["0", "0"]  # both splits, by the run before
    assert "held out" in ends[0].output and "held out" not in ends[1].output
    assert "process 1 of 2 has joined the others" in ends[1].errors
    for name in ("config.json", "report.md", "model/model.safetensors"):
        assert (home / "two" / name).is_file(), name
    assert len(list((home / "two" / "tensorboard").iterdir())) == 1
    assert json.loads((home / "two" / "config.json").read_text())["provenance"]["devices"] == {
        "platform": "cpu", "kind": "cpu", "count": 2, "hosts": 2
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "devices", "parallel"),
    [(1, 4, "jit"), (1, 8, "jit"), (1, 4, "pmap"), (1, 8, "pmap"), (2, 4, "jit"), (4, 2, "jit")],
)
def test_devices_and_processes_do_not_change_the_numbers(home, count, devices, parallel):
    output = f"{parallel}-{count}x{devices}"
    all_ended_well(processes.run(home, count, devices, output=output, parallel=parallel))
    same_numbers(home, output)
    together, rows = read(home, output, count)
    assert together == read(home, "one", 1)[0]
    assert rows == [16 // count] * count


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["distill", "distill lines", "finetune"])
def test_the_other_loops_over_two_processes(tmp_path, loop):
    """With the commands that people give; the losses are those of one process."""
    home = runs.make_home(tmp_path)
    calm = runs.MODEL.replace(max_positions=64, hidden_dropout=0.0, attention_dropout=0.0)
    runs.write_teacher(home / "calm", calm)
    texts = ("the cat sees a bird", "a dog and the cat", "the dog")
    rows = [f"{text},{text[-3:]}" for text in texts * 5]
    (home / "cats.csv").write_text("\n".join(["text,label", *rows, ""]))
    flags = {
        "distill": "tiny --teacher calm --data.tokenizer calm --data.corpus corpus --data.cache "
        "cache --data.sequence-length 16 --micro-batches 1 --masking.group-rows 2",
        "finetune": "classification --model calm --data.train cats.csv --reading.max-length 16",
    }
    loop, *lines = loop.split()
    several = " --data.mode lines --data.sequence-length 64" if lines else ""  # texts a sequence
    flags = f"{flags[loop]}{several} --batch-size 8 --steps 4 --evaluate-every 4"
    for count in (1, 2):
        output = ["--output", str(home / str(count))]
        arguments = ["-m", f"train.{loop}", *flags.split(), *output]
        all_ended_well(processes.run_command(arguments, count, 2 // count, home))
    found, expected = (runs.metrics(home / name) for name in ("2", "1"))
    for row, single in zip(found, expected, strict=True):
        assert row.pop("kind") == single.pop("kind")
        assert row == pytest.approx(single, rel=1e-5, abs=1e-6)
        if "loss" in single:
            assert row["loss"] == pytest.approx(single["loss"], rel=1e-6)


@pytest.mark.slow
def test_the_first_process_tokenises_for_all(tmp_path):
    home = runs.make_home(tmp_path)
    all_ended_well(processes.run(home, 2, 1, output="run", steps=1))
    assert (home / "encoded").read_text().split() == ["0", "0"]


@pytest.mark.slow
@pytest.mark.parametrize("process", [0, 1])
def test_sigterm_on_one_host_stops_all_after_the_same_step(home, process):
    output = f"asked-{process}"
    orders = {"process": process, "step": 3, "signal": signal.SIGTERM, "pause": 0.3}
    ends = processes.run(home, 2, 1, output=output, **orders)
    stopped = [end.errors.split("stopped at ")[-1].split(";")[0] for end in ends]
    assert stopped[0] == stopped[1] and stopped[0].startswith("step "), ends
    assert [end.status for end in ends] == [128 + signal.SIGTERM] * 2
    assert "preemption_notifier" not in ends[0].errors + ends[1].errors
    all_ended_well(processes.run(home, 2, 1, output=output))
    same_as_undisturbed(home, output)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_an_evaluation_stops_all_in_it(home, number):
    """That after update 5; the resumed run begins with it."""
    output = f"evaluating-{number}"
    orders = {"process": 1, "evaluation": 1, "signal": number}
    ends = processes.run(home, 2, 1, output=output, **orders)
    for end in ends:
        assert end.status == 128 + signal.SIGTERM, ends
        assert "stopped at step 5 of 20; everything is saved" in end.errors
    all_ended_well(processes.run(home, 2, 1, output=output))
    same_as_undisturbed(home, output)


@pytest.mark.slow
@pytest.mark.parametrize("process", [0, 1])
def test_a_killed_process_is_reported_by_the_other_and_the_run_resumes(home, process):
    output = f"killed-{process}"
    orders = {"process": process, "step": 8, "signal": signal.SIGKILL, "pause": 0.3}
    start = time.monotonic()
    ends = processes.run(home, 2, 1, output=output, **orders)
    assert time.monotonic() - start < 90  # of which the start takes most
    left = ends[1 - process]
    assert left.status == 3
    errors = [line for line in left.errors.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, left.errors
    assert f"process {1 - process} of 2 has stopped because another one ended" in errors[0]
    assert "***" not in left.errors and "Traceback" not in left.errors, left.errors
    assert f"process {process} of 2 was ended by SIGKILL" in ends[process].errors
    all_ended_well(processes.run(home, 2, 1, output=output))
    same_as_undisturbed(home, output)


def same_as_undisturbed(home, output):
    """Bit by bit what two processes come to that nobody disturbs."""
    if not (home / "undisturbed").exists():
        all_ended_well(processes.run(home, 2, 1, output="undisturbed"))
    assert runs.weights(home / output) == runs.weights(home / "undisturbed")
    assert runs.metrics(home / output) == runs.metrics(home / "undisturbed")


@pytest.mark.slow
def test_two_processes_resume_what_one_saved_and_the_other_way_round(home):
    for first, second in (((1, 4), (2, 1)), ((2, 2), (1, 1)), ((2, 2), (1, 8))):
        output = f"moved-{first}-{second}"
        orders = {"process": 0, "step": 8, "signal": signal.SIGTERM, "pause": 0.3}
        ends = processes.run(home, *first, output=output, **orders)
        assert ends[0].status == 128 + signal.SIGTERM, ends[0].errors
        all_ended_well(processes.run(home, *second, output=output))
        same_numbers(home, output)


@pytest.mark.parametrize("devices", [1, 2])
def test_checkpoints_of_four_devices_restore_on_fewer(tmp_path, devices):
    state = TrainState({"kernel": jnp.arange(12.0).reshape(3, 4)}, (), jnp.int32(7))
    saved = Checkpoints(tmp_path)
    saved.save(Parallel(ParallelConfig(devices=4)).place_state(state), {}, (0, ""))
    saved.close()
    fewer = Parallel(ParallelConfig(devices=devices))
    empty = fewer.place_state(jax.tree.map(jnp.zeros_like, state))
    restored = Checkpoints(tmp_path).restore(empty)
    assert int(restored.step) == 7
    np.testing.assert_array_equal(restored.params["kernel"], state.params["kernel"])
    assert empty.params["kernel"].is_deleted()  # or both would lie in memory to the end
    assert restored.params["kernel"].sharding.is_equivalent_to(fewer.replicated, 2)


@pytest.mark.long
@pytest.mark.parametrize("index", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_without_its_peers_says_so(tmp_path, monkeypatch, index):
    monkeypatch.setenv("DISTILBERT_FLAX_JOIN_SECONDS", "3")
    port = processes.free_port()
    end = processes.ended(processes.start(tmp_path, index, 2, 1, port, output="run"))
    assert end.status == 3
    (line,) = end.errors.splitlines()
    found = f"process {index} of 2 has not found the others at 127.0.0.1:{port} within 3 seconds"
    assert line.startswith(f"error: {found}: start the same command on every host")


JAX_ABORT = "F1129 client.h:80] Terminating, as the JAX distributed service detected fatal errors"


@pytest.mark.parametrize(
    ("native", "end", "status", "sentence"),
    [
        (JAX_ABORT, "os.abort()", 3, "process 1 of 2 has stopped because another one ended"),
        ("Check failed: x", "os.abort()", 134, "process 1 of 2 was ended by SIGABRT"),
        (JAX_ABORT, "os.kill(os.getpid(), 11)", 139, "process 1 of 2 was ended by SIGSEGV"),
        ("a warning of XLA", "sys.exit(1)", 1, None),
        ("a warning of XLA", "sys.exit(0)", 0, None),
    ],
)
def test_output_of_native_code_is_lost_only_where_the_end_is_explained(
    native, end, status, sentence
):
    """Python's own messages are shown whatever the end."""
    work = (
        "import os, sys; stderr = os.fdopen(int(os.environ['DISTILBERT_FLAX_MESSAGES']), 'w')\n"
        "print('from Python', file=stderr, flush=True)\n"
        f"print('process 1 of 2 has joined the others', {native!r}, file=sys.stderr, flush=True)\n"
        f"{end}"
    )
    supervise = (
        "import sys; from train.command import supervisor; from train.command.processes import *\n"
        f"sys.orig_argv = ['python', '-c', {work!r}]\n"
        "sys.exit(supervisor._supervise(Cluster('127.0.0.1:9', 2, 1)))"
    )
    done = subprocess.run([sys.executable, "-c", supervise], capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.startswith("from Python\n")
    assert (native in done.stderr) == (status not in (0, 3))
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == (sentence is not None)
    assert not errors or sentence in errors[0]


@pytest.mark.long
def test_a_port_that_is_taken_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        end = processes.ended(processes.start(tmp_path, 0, 2, 1, port, output="run"))
    assert end.status == 2
    (line,) = end.errors.splitlines()
    assert line.startswith(f"error: port {port} cannot be used on this host (Address already in")


def test_help_waits_for_nobody(nobody):
    nobody.setattr(sys, "argv", ["train.distill", "tiny", "--help"])
    for name, value in zip(NAMES, ("127.0.0.1:1", "2", "1"), strict=True):
        nobody.setenv(name, value)
    assert on_all_hosts(lambda: 0) == 0


def test_pmap_and_a_part_of_the_devices_are_refused_over_several_processes(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match=r"pmap runs in one process, and this run has 2: use"):
        Parallel(ParallelConfig(parallel="pmap"))
    with pytest.raises(InputError, match=r"--run.devices is 1 and the 2 processes of this run"):
        Parallel(ParallelConfig(devices=1))


@pytest.fixture
def nobody(monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment that says nothing of hosts."""
    for name in (*NAMES, "SLURM_JOB_ID", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((), None),
        (("10.0.0.1:99", "1", "0"), None),
        (("10.0.0.1:99", "4", "3"), Cluster("10.0.0.1:99", 4, 3)),
        (("10.0.0.1:99",), "without JAX_NUM_PROCESSES and JAX_PROCESS_ID: set all three"),
        (("10.0.0.1:99", "4"), "without JAX_PROCESS_ID: set all three"),
        (("10.0.0.1", "4", "3"), "should be HOST:PORT"),
        (("10.0.0.1:0", "4", "3"), "should be HOST:PORT"),
        (("10.0.0.1:65536", "4", "3"), "should be HOST:PORT"),
        (("10.0.0.1:99", "4", "4"), "from 0 on, below the first"),
        (("10.0.0.1:99", "four", "0"), "from 0 on, below the first"),
    ],
)
def test_hosts_are_found_by_variables(nobody, values, found):
    for name, value in zip(NAMES, values, strict=False):
        nobody.setenv(name, value)
    if isinstance(found, str):
        with pytest.raises(InputError, match=found):
            find_cluster()
    else:
        assert find_cluster() == found


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("train.ablate", lambda: ablate.chosen_study(["temperature"])),
        ("train.quickstart", lambda: quickstart(Quickstart())),
        ("eval.glue", lambda: run_glue(Glue(teacher="a", student="b"))),
        ("eval.against_torch", lambda: against_torch.config_of(["rte"])),
    ],
)
def test_commands_for_one_process_refuse_to_be_one_of_several(nobody, name, command):
    for variable, value in zip(NAMES, ("10.0.0.1:99", "4", "3"), strict=True):
        nobody.setenv(variable, value)
    with pytest.raises(InputError, match=f"{name} runs in one process, and this is process 3 of 4"):
        command()


def test_hosts_are_found_by_slurm(nobody):
    slurm = {
        "JOB_ID": "4096", "STEP_NODELIST": "gpu[07-08]", "NTASKS": "8", "PROCID": "5",
        "LOCALID": "1", "STEP_NUM_NODES": "2",
    }  # fmt: skip
    for name, value in slurm.items():
        nobody.setenv(f"SLURM_{name}", value)
    assert find_cluster() == Cluster("gpu07:61440", 8, 5)
    nobody.setenv("JAX_COORDINATOR_ADDRESS", "gpu07")
    with pytest.raises(InputError, match="should be HOST:PORT"):
        find_cluster()
    nobody.setenv("JAX_COORDINATOR_ADDRESS", "10.0.0.1:99")
    assert find_cluster() == Cluster("10.0.0.1:99", 8, 5)
    nobody.delenv("JAX_COORDINATOR_ADDRESS")
    nobody.setenv("SLURM_NTASKS", "1")
    assert find_cluster() is None
