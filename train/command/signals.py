"""Signals that stop a run: SIGTERM and Ctrl-C, over several hosts too."""

import os
import signal
from types import FrameType

import jax
from jax.experimental import multihost_utils


class Stopped(Exception):  # noqa: N818 (not an error)
    """The end of a run that was asked to stop, and has saved what it needs to resume."""

    def __init__(self, signum: int, message: str):
        super().__init__(message)
        self.exit_status = 128 + signum


class Signals:
    """A memory of SIGTERM and Ctrl-C until the step is done; a second Ctrl-C stops at once.

    In a run of several processes a signal to any of them stops all after the same step: JAX listens
    for SIGTERM, and agrees on the step with the others.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._shared = jax.process_count() > 1

    def stop_after(self, step: int) -> int | None:
        """The signal to stop for after this step, or None; has to be called at every step."""
        if self._shared and multihost_utils.reached_preemption_sync_point(step):
            return signal.SIGTERM
        return None if self._shared else self.received

    def __enter__(self) -> "Signals":
        watched = (signal.SIGINT,) if self._shared else (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._remember) for number in watched}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = number
        if self._shared:
            os.kill(os.getpid(), signal.SIGTERM)
