import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import pytest

from eval.timing.worker import (
    OutOfMemoryError,
    Process,
    TooSlowError,
    Worker,
    _build,
    answer_once,
    update_alternately,
)
from model.errors import InputError


class Counter:
    """Says how often it was asked, and in which process."""

    def __init__(self):
        self.calls = 0

    def update(self):
        self.calls += 1
        return float(self.calls)

    def facts(self):
        return {"process": os.getpid()}


class Slow(Counter):
    """Takes too long for its first update."""

    def update(self):
        time.sleep(600)
        return super().update()


class Doomed(Counter):
    """Is killed at its second update, as for want of memory."""

    def update(self):
        if self.calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().update()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def fail(error):
    raise error


def test_a_worker_answers_from_another_process():
    with Worker(Counter) as worker:
        assert worker.facts()["process"] != os.getpid()
        assert [worker.update(), worker.update()] == [2.0, 3.0]  # the first was for compiling


def test_an_update_that_takes_too_long_is_cut_short():
    start = time.monotonic()
    with pytest.raises(TooSlowError) as raised:
        Worker(Slow, limit=0.2)
    assert raised.value.limit == 0.2 and time.monotonic() - start < 300


def test_a_process_that_dies_is_reported():
    with Worker(Doomed) as worker, pytest.raises(InputError, match=r"ended: .*smaller --batch"):
        worker.update()


def test_ctrl_c_ends_a_process_that_starts_without_a_word(capfd):
    with Process() as process:
        answer = process.submit(os.getpid)
        [number] = process._processes
        os.kill(number, signal.SIGINT)
        with pytest.raises(BrokenProcessPool):
            answer.result()
    assert capfd.readouterr().err == ""


def test_a_process_that_dies_with_its_only_question_is_reported():
    with pytest.raises(InputError, match=r"ended: .*smaller --batch"):
        answer_once(die)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes\nmore"),
            OutOfMemoryError,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate"), OutOfMemoryError),
        (InputError("no such device"), InputError),
    ],
)
def test_errors_come_back_as_what_they_mean(error, kind):
    with pytest.raises(kind) as raised:
        _build(partial(fail, error))
    assert str(raised.value) in str(error)


def test_contenders_are_asked_alternately():
    called = []

    class Named(Counter):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def update(self):
            called.append(self.name)
            return super().update()

    seconds, facts = update_alternately({name: Named(name) for name in "ab"}, repeats=2)
    assert called == ["a", "b"] * 2
    assert seconds == {"a": [1.0, 2.0], "b": [1.0, 2.0]}
    assert facts["a"] == {"process": os.getpid()}
