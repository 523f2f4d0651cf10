"""Signals that stop a command: SIGTERM and Ctrl-C, over several hosts too.

A command listens from its start to its end. As a rule a signal raises `Stopped` wherever it comes:
files are written whole or not at all, so that nothing is spoiled. In a block under `until_safe`,
such as the updates of a run, it waits for the next safe place, from which the same command can go
on. None is lost between two blocks.
"""

import ctypes
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import FrameType
from typing import ParamSpec, TypeVar

import jax
from jax.experimental import multihost_utils

from model.terminal import say

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

KEPT = "stopped: all that was complete is kept, and the same command resumes from there"
WAITING = "stopping at the next safe place; a second Ctrl-C leaves at once"
LEFT = "left at once: what was saved before is kept, and the same command can be given again"
ENDED = "stopped: nothing half-written is left, and the same command can be given again"
SHOW_CURSOR = "\x1b[?25h"  # a progress bar hides it


class Stopped(KeyboardInterrupt):
    """The end of a command that was asked to stop, and that the same command can take up again.

    As it is no `Exception`, code that explains or ignores errors lets it pass.
    """

    def __init__(self, number: int, message: str = KEPT):
        super().__init__(message)
        self.number = number
        self.exit_status = 128 + number


class Listener:
    """A memory of the signals that have come, while a command listens."""

    def __init__(self, *, leaves: bool):
        self.received: int | None = None
        self.blocks = 0
        """Those of `until_safe` that are open."""
        self.leaves = leaves
        # Processes that run together agree on a safe place by its number.
        self.places = itertools.count(1) if jax.distributed.is_initialized() else None
        self.agreed = False
        self.tell_the_others: Callable[[int], None] | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        first, self.received = self.received is None, self.received or number
        if self.blocks and self.tell_the_others:
            self.tell_the_others(signal.SIGTERM)
        elif self.blocks == 0 and first:
            raise Stopped(number, ENDED)
        elif number == signal.SIGINT and not first and not self.leaves:
            raise KeyboardInterrupt

    def watch(self, reader: int) -> None:
        """Ends the process at the second Ctrl-C; for a thread, as `handle` waits for XLA."""
        interrupts = 0
        while number := os.read(reader, 1)[0]:
            interrupts += number == signal.SIGINT
            if interrupts == 2:
                screen = sys.stderr.fileno()
                start = f"{SHOW_CURSOR}\n" if os.isatty(screen) else ""
                os.write(screen, f"{start}{LEFT}\n".encode())
                os._exit(128 + signal.SIGINT)
            if self.blocks and number == signal.SIGINT:
                say(WAITING, error=True)


_listener: Listener | None = None


@contextmanager
def listening(*, leaves: bool = True) -> Iterator[Listener]:
    """Listens to SIGTERM and Ctrl-C during the block, if that is not done already.

    Args:
        leaves: whether a second Ctrl-C ends the process at once, even if it compiles; otherwise it
            raises KeyboardInterrupt.
    """
    global _listener
    if _listener is not None:
        yield _listener
        return
    with ExitStack() as stack:
        listener = _listener = Listener(leaves=leaves)
        stack.callback(globals().update, _listener=None)
        if listener.places is not None:
            listener.tell_the_others = stack.enter_context(_handler_of_jax())
        if leaves:
            stack.enter_context(_watched(listener))
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, listener.handle))
        yield listener


@contextmanager
def until_safe() -> Iterator[None]:
    """Lets signals wait for the next safe place in the block, or for its end.

    Raises:
        Stopped: at the end, if a signal has come.
    """
    with listening(leaves=False) as listener:  # a notebook's second interrupt keeps its kernel
        listener.blocks += 1
        try:
            yield
        finally:
            listener.blocks -= 1
        stop_if_asked()


def stop_if_asked() -> None:
    """A safe place: all processes of a run pass the same ones, and stop together at one of them.

    Raises:
        Stopped: a signal has come.
    """
    if _listener is None:
        return
    if _listener.places is None:
        if _listener.received is not None:
            raise Stopped(_listener.received)
    elif multihost_utils.reached_preemption_sync_point(next(_listener.places)):
        _listener.agreed = True
        raise Stopped(signal.SIGTERM)


def heeding(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function with a safe place before every call."""

    @wraps(function)
    def heeded(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        stop_if_asked()
        return function(*arguments, **named)

    return heeded


@contextmanager
def _watched(listener: Listener) -> Iterator[None]:
    """A thread that hears of each signal at once, while the main thread may be in native code."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=listener.watch, args=[reader], daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writer, b"\0")  # a forked process may hold the pipe open
        thread.join()
        os.close(writer)
        os.close(reader)


@contextmanager
def _handler_of_jax() -> Iterator[Callable[[int], None]]:
    """The function with which JAX hears of SIGTERM, and tells it to the other processes.

    JAX has installed it without Python's knowledge.
    """
    install = ctypes.CDLL(None).signal
    install.argtypes, install.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    address = install(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield ctypes.CFUNCTYPE(None, ctypes.c_int)(address)
    finally:
        install(signal.SIGTERM, address)
