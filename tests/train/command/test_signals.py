"""SIGTERM and Ctrl-C: where they act, that none is lost, and that a second Ctrl-C leaves."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from tests import processes
from train.command import signals
from train.command.signals import Stopped, heeding, listening, stop_if_asked, until_safe

ROOT = Path(__file__).parents[3]
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@BOTH
def test_a_signal_acts_at_once(number):
    with pytest.raises(Stopped, match="same command can be given again") as stopped, listening():
        send(number)
        pytest.fail("still here")
    assert stopped.value.exit_status == 128 + number


@BOTH
def test_in_a_block_it_waits_for_a_safe_place(number):
    done = []
    with pytest.raises(Stopped) as stopped, until_safe():
        send(number)
        done.append("update")
        heeding(done.append)("batch")
    assert done == ["update"]
    assert stopped.value.exit_status == 128 + number


def test_one_that_comes_in_the_last_update_of_a_block_stops_before_the_next():
    blocks = []
    with pytest.raises(Stopped), listening():
        for number in range(3):
            with until_safe():
                send()
                blocks.append(number)
    assert blocks == [0]


def test_code_that_ignores_errors_does_not_ignore_a_stop():
    with pytest.raises(Stopped), listening():
        try:
            send()
        except Exception:
            pytest.fail("taken for an error")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_comes_where_nothing_can_be_raised_acts_at_the_next_safe_place():
    class Sender:
        def __del__(self):
            send()

    with pytest.raises(Stopped), listening():
        sender = Sender()
        del sender  # Python reports what is raised in here, and goes on
        with until_safe():
            stop_if_asked()
            pytest.fail("still here")


def test_an_error_on_the_way_is_reported():
    with pytest.raises(ValueError, match="this"), until_safe():
        send()
        raise ValueError("this")


def test_handlers_are_as_before_at_the_end():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with listening(), until_safe():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert signals._listener is None
    stop_if_asked()


def test_in_a_notebook_a_second_interrupt_is_one_of_python():
    with pytest.raises(KeyboardInterrupt) as raised, until_safe():
        send(signal.SIGINT)
        send(signal.SIGINT)
        pytest.fail("still here")
    assert type(raised.value) is KeyboardInterrupt


def test_a_signal_during_compilation_acts_after_it():
    lowered = program(100)
    with no_cache(), pytest.raises(Stopped), until_safe():
        assert sent_during(lowered.compile)
        stop_if_asked()
        pytest.fail("still here")


def sent_during(compile_program):
    """Sends a signal while a program is compiled; whether it came before that was done."""
    timer = threading.Timer(0.01, send)
    timer.start()
    compile_program()
    during = timer.finished.is_set()
    timer.join()  # or it would find no listener later, and end the tests
    return during


def program(length: int) -> jax.stages.Lowered:
    """Takes XLA some 5 ms for each step of its length."""

    def steps(x):
        for _ in range(length):
            x = jnp.sort(jnp.sin(x) @ x, axis=0)
        return x

    return jax.jit(steps).lower(jnp.ones((64, 64)))


@contextmanager
def no_cache():
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", True)


COMMAND = """
import sys, time
from tests.train.command.test_signals import program
from train.command.cli import main
from train.command.signals import until_safe

def waiting():
    print("ready", flush=True)
    time.sleep(60)

def compiling():
    lowered = program(800)
    with until_safe():
        print("ready", flush=True)
        lowered.compile()
        print("compiled", flush=True)

main(globals()[sys.argv[1]])
"""


def command(name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.long
def test_a_command_ends_with_one_sentence_and_a_status():
    process = command("waiting")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert errors == f"{signals.ENDED}\n"
    assert process.returncode == 128 + signal.SIGINT


@pytest.mark.long
def test_a_second_ctrl_c_leaves_a_compilation():
    process = command("compiling")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert printed == ""
    assert errors == f"{signals.WAITING}\n{signals.LEFT}\n"
    assert process.returncode == 128 + signal.SIGINT


TOGETHER = """
import os, signal, sys, time
from train.command.cli import main
from train.command.signals import stop_if_asked, until_safe

sends = os.environ["JAX_PROCESS_ID"] == "1"

def run():
    with until_safe():
        for place in range(400):
            if sends and place == 5:
                os.kill(os.getpid(), int(sys.argv[1]))
            time.sleep(0.05 if sends else 0.04)
            print(place, file=sys.stderr)
            stop_if_asked()

main(run, hosts=True)
"""


@pytest.mark.long
def test_a_signal_to_one_process_stops_all_at_the_same_place():
    """Though one is ahead of the other, and only one has heard of it."""
    ends = processes.run_command(["-c", TOGETHER, str(int(signal.SIGINT))], 2, 1, ROOT)
    assert [end.status for end in ends] == [128 + signal.SIGTERM] * 2, ends
    places = [end.errors.partition(f"\n{signals.KEPT}\n")[0].split("\n")[-1] for end in ends]
    assert places[0] == places[1]
    assert int(places[0]) > 5
