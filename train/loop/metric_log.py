"""The metrics of a run in three places: metrics.jsonl, TensorBoard events, and the terminal.

metrics.jsonl is the record: one JSON object a line, in the order things happened.

    {"step": 1, "kind": "train", "loss": 9.2, ..., "data_seconds": 0.0001,
     "tokens_per_second": 150.0, "seconds": 12.4, "compiles": 1.0}
    {"step": 7, "kind": "train", "loss": 5.1, ..., "data_seconds": 0.0001,
     "tokens_per_second": 9000.0, "seconds": 0.2}
    {"step": 7, "kind": "heldout", "masked_lm_loss": 5.0, ..., "seconds": 3.1}

Numbers are written with all their digits, so that they come back bit by bit. "seconds" is the time
since the row before, or since the start: their sum is the time that the run took. "data_seconds" is
how long the loop waited for the step's batch; "compiles" marks the first step of its shape since
the start, whose time may have compilation in it. But for these timings a run that was interrupted
leaves the same rows as one that was not.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from data.clock import seconds_since
from data.storage.atomic import replacing
from data.storage.run_folder import json_rows
from model.errors import InputError
from model.terminal import visible
from report.tables import duration
from train.loop.tensorboard import EventLog

SECONDS_BETWEEN_LINES = 20.0


class MetricLog:
    """Records a run's metrics and shows them. Use as a context manager.

    On a terminal a progress bar shows loss, tokens/s and time left; on a pipe there is a plain line
    for the first steps, every `print_every` steps, and whenever 20 seconds went by without one.
    Held-out metrics are printed where `shown` says so of their name.

    Resuming from a checkpoint at `start_step` drops what was recorded after it, so everything about
    step n must be recorded before checkpoint n is saved. `start_step` 0 starts an empty record.
    Only the process that `writes` touches folder and terminal; in all others this does nothing.

    Raises:
        InputError: the disk refuses to take a row; any method may raise it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        total_steps: int,
        start_step: int = 0,
        print_every: int = 100,
        shown: Callable[[str], bool] = lambda name: True,
        writes: bool = True,
        console: Console | None = None,
    ) -> None:
        self.path = folder / "metrics.jsonl"
        self.total_steps = total_steps
        self.start_step = start_step
        self.print_every = print_every
        self.shown = shown
        self.writes = writes
        self.console = console or Console(quiet=not writes, markup=False)
        if writes:
            with self._explained():
                folder.mkdir(parents=True, exist_ok=True)
                _cut_back(self.path, start_step)
                # Line buffering: each row reaches the kernel, and outlives the process, at once.
                self._file = self.path.open("a", encoding="utf-8", buffering=1)
                self._events = EventLog(folder / "tensorboard", start_step=start_step)
        self._bar = Progress(
            TextColumn("step {task.completed:,}/{task.total:,}"),
            BarColumn(),
            TextColumn("{task.description}"),
            console=self.console,
            refresh_per_second=2,  # drawing takes a few ms of a core that trains
            disable=not (writes and self.console.is_terminal),
        )
        self._task = self._bar.add_task("compiling", total=total_steps, completed=start_step)
        # Means that forget: of the seconds of a step, and of its tokens.
        self._pace: tuple[float, float] | None = None
        self._clock = self._line_clock = time.perf_counter()

    def __enter__(self) -> "MetricLog":
        self._bar.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._bar.stop()
        if not self.writes:
            return
        try:
            with self._explained():
                try:
                    self._file.close()
                finally:
                    self._events.close()
        except InputError:
            if error is None:  # what is already being raised tells more
                raise

    def step(
        self, step: int, metrics: Mapping[str, float], tokens: int, *, compiles: bool = False
    ) -> None:
        """Records one training update over so many tokens; steps count from 1."""
        seconds = self._lap()
        timings = {"tokens_per_second": tokens / seconds, "seconds": seconds}
        self._write(step, "train", metrics, timings | ({"compiles": 1.0} if compiles else {}))
        if not compiles:
            before = self._pace or (seconds, tokens)
            self._pace = 0.95 * before[0] + 0.05 * seconds, 0.95 * before[1] + 0.05 * tokens
        if self.console.is_terminal:
            self._bar.update(self._task, completed=step, description=self._status(step, metrics))
        elif self._line_is_due(step):
            self._line_clock = time.perf_counter()
            self.say(f"step {step:,}/{self.total_steps:,}  {self._status(step, metrics)}")

    def heldout(self, step: int, metrics: Mapping[str, float]) -> None:
        """Records the metrics of the held-out text after `step` updates."""
        self._write(step, "heldout", metrics, {"seconds": self._lap()})
        shown = {name: value for name, value in metrics.items() if self.shown(name)}
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        self.say(f"step {step:,}  held out: {numbers}")

    def say(self, message: str) -> None:
        """Prints a line; on a terminal it appears above the bar."""
        # As text, and not as a string: rich would take "[unused1]" and the like for a style.
        self.console.print(Text(visible(message)), soft_wrap=True)

    def flush(self) -> None:
        """Brings all rows to the disk; call it before a checkpoint that they belong to."""
        if not self.writes:
            return
        with self._explained():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._events.flush()

    def _write(
        self, step: int, kind: str, metrics: Mapping[str, float], timings: dict[str, float]
    ) -> None:
        if not self.writes:
            return
        numbers = {name: float(value) for name, value in metrics.items()} | timings
        with self._explained():
            self._file.write(json.dumps({"step": step, "kind": kind, **numbers}) + "\n")
            self._events.write(step, {f"{kind}/{name}": n for name, n in numbers.items()})

    def _lap(self) -> float:
        seconds = seconds_since(self._clock)
        self._clock += seconds
        return seconds

    def _status(self, step: int, metrics: Mapping[str, float]) -> str:
        parts = [f"loss {metrics['loss']:.4f}"] if "loss" in metrics else []
        if self._pace is not None:
            seconds, tokens = self._pace
            parts.append(f"{tokens / seconds:,.0f} tokens/s")
            parts.append(f"{duration((self.total_steps - step) * seconds)} left")
        return "  ".join(parts)

    def _line_is_due(self, step: int) -> bool:
        return (
            step <= self.start_step + 3
            or step % self.print_every == 0
            or step == self.total_steps
            or seconds_since(self._line_clock) > SECONDS_BETWEEN_LINES
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"cannot record metrics in {self.path.parent} ({error.strerror}): mend that, then "
                "the same command resumes from the last checkpoint"
            ) from error


def _cut_back(path: Path, step: int) -> None:
    """Keeps the rows up to `step`, and nothing of what a crash left behind them."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        if step > 0 and path.exists():
            kept = takewhile(lambda entry: entry[0]["step"] <= step, json_rows(path))
            file.writelines(line for _, line in kept)
        file.flush()
        os.fsync(file.fileno())
