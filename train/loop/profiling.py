"""The time of a run: how long it waited for data, and traces that xprof opens."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from data.batches import Batch
from data.clock import seconds_since
from model.errors import InputError
from train.config import updates_to_trace


def timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Every batch, with the seconds that the loop waited for it.

    The device may still have computed the update before: it waited no longer than that.
    """
    while True:
        start = time.perf_counter()
        with jax.profiler.TraceAnnotation("data"):
            batch = next(batches)
        yield batch, seconds_since(start)


class Tracer:
    """Traces some updates of a run into its TensorBoard folder. Use as a context manager.

    Args:
        profile: the first and the last update, as `10:20`; None for no trace.
        folder: of the run.
        updates: of the run.

    Raises:
        InputError: the run ends before.
    """

    def __init__(self, profile: str | None, folder: Path, updates: int):
        self.folder = folder / "tensorboard"
        self.running = False
        self.first, self.last = (0, 0) if profile is None else updates_to_trace(profile)
        if self.first > updates:
            raise InputError(
                f"--run.profile is {profile}, but the run has only {updates:,} updates: name some "
                "of these"
            )
        self.last = min(self.last, updates)

    def __enter__(self) -> "Tracer":
        return self

    def update(self, number: int) -> jax.profiler.StepTraceAnnotation:
        """The context of one update, under whose number xprof shows what is started in it."""
        if not self.running and self.first <= number <= self.last:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # every Python call would hide what the device does
            jax.profiler.start_trace(self.folder, profiler_options=options)
            self.running = True
        return jax.profiler.StepTraceAnnotation("update", step_num=number)

    def done(self, number: int, results: Any) -> None:
        """Ends the trace after its last update, once the device has made the `results` of it."""
        if self.running and number == self.last:
            jax.block_until_ready(results)
            self._stop()

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self._stop()

    def _stop(self) -> None:
        self.running = False
        jax.profiler.stop_trace()
