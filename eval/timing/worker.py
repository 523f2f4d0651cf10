"""Processes of their own for what is measured, so that memory and threads are its own."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from model.errors import InputError


@runtime_checkable
class Contender(Protocol):
    """Something that can be measured again and again."""

    def facts(self) -> dict[str, Any]:
        """Its `peak_memory_bytes` and other facts, after an update."""
        ...

    def update(self) -> float:
        """Does its work once; returns the seconds that took."""
        ...


class OutOfMemoryError(Exception):
    """The memory of the device is too small for the contender."""


class TooSlowError(Exception):
    """The first update of the contender took longer than so many seconds."""

    def __init__(self, limit: float):
        super().__init__(limit)
        self.limit = limit


class Process(ProcessPoolExecutor):
    """A process that answers one question after the other, until shut down."""

    def __init__(self) -> None:
        # Not a fork: the threads of JAX and torch would not live on in it.
        super().__init__(1, multiprocessing.get_context("spawn"), _end_silently)

    def submit(self, *arguments: Any, **named: Any) -> Future[Any]:
        # The process starts with what is blocked here: Ctrl-C finds it when it has its imports.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().submit(*arguments, **named)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def ask(self, function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> Any:
        """The result of a function there; it must have a name in a module, as `pickle` wants.

        Raises:
            TimeoutError: there is none after `limit` seconds.
            InputError: a mistake of the user's, or the process has died.
        """
        try:
            return self.submit(function, *arguments).result(limit)
        except BrokenProcessPool:
            raise InputError(
                "the process that was measured ended: main memory may have been short, and a "
                "smaller --batch-size may fit"
            ) from None


def _end_silently() -> None:
    """Lets Ctrl-C end this process without a word: it is for the one that asks."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def answer_once(function: Callable[[], Any]) -> Any:
    """The result of a function in a process of its own; raises as `Process.ask`."""
    with Process() as process:
        return process.ask(function)


class Worker(Process):
    """Contender in another process, which has made an update: that compiles it.

    Args:
        make: builds it, there.
        limit: seconds that the first update may take; by default as many as it takes.

    Raises:
        OutOfMemoryError: there is too little memory for it.
        TooSlowError: the first update took longer; it was cut short.
        InputError: see `Process.ask`.
    """

    first_seconds: float
    """Of the first update."""

    def __init__(self, make: Callable[[], Contender], limit: float | None = None):
        super().__init__()
        try:
            number = self.ask(_build, make)
            try:
                self.first_seconds = self.ask(_call, "update", limit=limit)
            except TimeoutError:
                os.kill(number, signal.SIGTERM)
                assert limit is not None
                raise TooSlowError(limit) from None
        except BaseException:
            self.shutdown()
            raise

    def facts(self) -> dict[str, Any]:
        return self.ask(_call, "facts")

    def update(self) -> float:
        return self.ask(_call, "update")


_contender: list[Contender] = []  # of a worker's process


def _build(make: Callable[[], Contender]) -> int:
    """Builds the contender of this process, whose number it returns."""
    with _as_meant():
        _contender[:] = [make()]
    return os.getpid()


def _call(method: str) -> Any:
    """Calls the contender of this process."""
    with _as_meant():
        return getattr(_contender[0], method)()


@contextmanager
def _as_meant() -> Iterator[None]:
    """Raises errors as what they mean, and such as another process can read."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # jax.errors.JaxRuntimeError or torch.OutOfMemoryError, recognised without either library.
        if "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower():
            raise OutOfMemoryError(str(error).partition("\n")[0]) from None
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def update_alternately(
    contenders: Mapping[str, Contender], repeats: int
) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
    """Seconds of all updates of each contender, and its facts.

    The updates are made alternately, so that all meet the same disturbances.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            seconds[name].append(contender.update())
    return seconds, {name: contender.facts() for name, contender in contenders.items()}
