"""The metrics of a run in three places: metrics.jsonl, TensorBoard events, and the terminal.

With a `Tracker` there is a fourth.

metrics.jsonl is the record: one JSON object a line, in the order things happened.

    {"step": 1, "kind": "train", "loss": 9.2, ..., "padding": 0.12, "data_seconds": 0.0001,
     "tokens_per_second": 150.0, "seconds": 12.4, "compiles": 1.0}
    {"step": 7, "kind": "train", "loss": 5.1, ..., "padding": 0.09, "data_seconds": 0.0001,
     "tokens_per_second": 9000.0, "seconds": 0.2}
    {"step": 7, "kind": "heldout", "masked_lm_loss": 5.0, ..., "seconds": 3.1}

Numbers are written with all their digits, so that they come back bit by bit. "seconds" is the time
since the row before, or since the start: their sum is the time that the run took. Tokens are those
of the text; "padding" is the share of the places in the batch that hold none. "data_seconds" is
how long the loop waited for the step's batch; "compiles" marks the first step of its shape since
the start, whose time may have compilation in it. But for these timings a run that was interrupted
leaves the same rows as one that was not.

A checkpoint knows the length and the digest of the record of that moment, so that a run never
resumes upon rows that were lost or changed since then.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xxhash
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from data.clock import seconds_since
from data.storage.atomic import replacing
from data.storage.run_folder import METRICS, json_rows
from model.errors import InputError
from model.terminal import visible
from report.tables import duration
from train.loop.tensorboard import EventLog
from train.loop.tracking import Tracker

SECONDS_BETWEEN_LINES = 20.0

Extent = tuple[int, str]
"""A record as a checkpoint knows it: its length in bytes, and their 128-bit xxHash."""


class MetricLog:
    """Records a run's metrics and shows them. Use as a context manager.

    On a terminal a progress bar shows loss, tokens/s and time left; on a pipe there is a plain line
    with the time of day for the first steps, every `print_every` steps, and whenever 20 seconds
    went by without one. Held-out metrics are printed where `shown` says so of their name.

    Resuming from a checkpoint at `start_step` drops what was recorded after it, so everything about
    step n must be recorded before checkpoint n is saved, with the `extent` that `flush` returned.
    `start_step` 0 starts an empty record, and so does, with a sentence, a file that is gone.
    Only the process that `writes` touches folder and terminal; in all others this does nothing.

    Raises:
        InputError: the record is not what it was at the checkpoint, or the disk refuses to take a
            row; any method may raise it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        total_steps: int,
        start_step: int = 0,
        extent: Extent | None = None,
        print_every: int = 100,
        shown: Callable[[str], bool] = lambda name: True,
        writes: bool = True,
        track: str | None = None,
        settings: Mapping[str, Any] | None = None,
        console: Console | None = None,
    ) -> None:
        self.path = folder / METRICS
        self.total_steps = total_steps
        self.start_step = start_step
        self.print_every = print_every
        self.shown = shown
        self.writes = writes
        self.console = console or Console(quiet=not writes, markup=False)
        self._tracker: Tracker | None = None
        if writes:
            with self._explained():
                folder.mkdir(parents=True, exist_ok=True)
                if track is not None:  # what it refuses leaves no file open
                    self._tracker = Tracker(track, folder, settings or {}, self.say)
                kept = self._kept(extent)
                self._size, self._digest = len(kept), xxhash.xxh3_128(kept)
                with replacing(self.path) as temporary, temporary.open("wb") as file:
                    file.write(kept)
                    file.flush()
                    os.fsync(file.fileno())
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
        self._compiled: float | None = None
        self._evaluated = False
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
                    if self._tracker is not None:
                        self._tracker.close()
        except InputError:
            if error is None:  # what is already being raised tells more
                raise

    def step(
        self,
        step: int,
        metrics: Mapping[str, float],
        tokens: int,
        *,
        waited: float = 0.0,
        compiles: bool = False,
    ) -> None:
        """Records one training update over so many tokens; steps count from 1.

        Args:
            step: the number of the update.
            metrics: of the update.
            tokens: in its batch.
            waited: seconds that the loop waited for the batch.
            compiles: whether it is the first of its shape.
        """
        seconds = self._lap()
        timings = {
            "data_seconds": waited,
            "tokens_per_second": tokens / seconds,
            "seconds": seconds,
        }
        self._write(step, "train", metrics, timings | ({"compiles": 1.0} if compiles else {}))
        if compiles:
            self._compiled = seconds
        else:
            before = self._pace or (seconds, tokens)
            self._pace = 0.95 * before[0] + 0.05 * seconds, 0.95 * before[1] + 0.05 * tokens
        if self.console.is_terminal:
            self._bar.update(self._task, completed=step, description=self._status(step, metrics))
        elif self._line_is_due(step):
            self._line_clock = time.perf_counter()
            self._line(f"step {step:,}/{self.total_steps:,}  {self._status(step, metrics)}")

    def compiling(self, what: str) -> None:
        """Says that a program is compiled now, which may take minutes, and how long the last took.

        On a terminal the bar says it.
        """
        took = "" if self._compiled is None else f" (the last took {duration(self._compiled)})"
        self._working(f"compiling {what}{took}")

    def evaluating(self) -> None:
        """Says that an evaluation begins: at the first, whose program is compiled, in a line."""
        if self.console.is_terminal or not self._evaluated:
            self._working("evaluating" + ("" if self._evaluated else ", once compiled"))
        self._evaluated = True

    def _working(self, what: str) -> None:
        if self.console.is_terminal:
            self._bar.update(self._task, description=what)
        else:
            self._line(what)

    def _line(self, message: str) -> None:
        """Prints a line, on a pipe with the time of day."""
        if not self.console.is_terminal:
            message = f"{time.strftime('%H:%M:%S')}  {message}"
        self.say(message)

    def heldout(self, step: int, metrics: Mapping[str, float]) -> None:
        """Records the metrics of the held-out text after `step` updates."""
        self._write(step, "heldout", metrics, {"seconds": self._lap()})
        shown = {name: value for name, value in metrics.items() if self.shown(name)}
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        when = f"step {step:,}" if step else "before training"
        self._line(f"{when}  held out: {numbers}")

    def say(self, message: str) -> None:
        """Prints a line; on a terminal it appears above the bar."""
        # As text, and not as a string: rich would take "[unused1]" and the like for a style.
        self.console.print(Text(visible(message)), soft_wrap=True)

    def flush(self) -> Extent:
        """Brings all rows to the disk, and returns what their checkpoint has to know of them."""
        if not self.writes:
            return 0, ""
        with self._explained():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._events.flush()
        return self._size, self._digest.hexdigest()

    def _kept(self, extent: Extent | None) -> bytes:
        """The rows up to the checkpoint that the run resumes from."""
        if self.start_step == 0 or extent is None:
            return b""
        if not self.path.exists() or _begins_with(self.path, self.start_step + 1):
            self.say(
                f"the metrics of the first {self.start_step:,} updates are not in {self.path}: the "
                "run resumes without them, and its report will say so"
            )
            return b""
        size, digest = extent
        kept = self.path.read_bytes()[:size]
        if xxhash.xxh3_128(kept).hexdigest() != digest:
            raise InputError(
                f"{self.path} is not what it was when checkpoint {self.start_step} was saved: put "
                "back a copy of it, or move it away to resume without the earlier metrics"
            )
        return kept

    def _write(
        self, step: int, kind: str, metrics: Mapping[str, float], timings: dict[str, float]
    ) -> None:
        if not self.writes:
            return
        numbers = {name: float(value) for name, value in metrics.items()} | timings
        row = json.dumps({"step": step, "kind": kind, **numbers}) + "\n"
        self._size += len(row.encode())
        self._digest.update(row.encode())
        with self._explained():
            self._file.write(row)
            named = {f"{kind}/{name}": n for name, n in numbers.items()}
            self._events.write(step, named)
        if self._tracker is not None:
            self._tracker.write(step, named)

    def _lap(self) -> float:
        seconds = seconds_since(self._clock)
        self._clock += seconds
        return seconds

    def _status(self, step: int, metrics: Mapping[str, float]) -> str:
        # In a stack of students a name begins with the student's.
        losses = [value for name, value in metrics.items() if name.rpartition("/")[2] == "loss"]
        parts = [f"loss {min(losses):.4f}"] if losses else []
        if len(losses) > 1:
            parts = [f"losses {min(losses):.4f} to {max(losses):.4f}"]
        if self._pace is not None:
            seconds, tokens = self._pace
            parts.append(f"{tokens / seconds:,.0f} tokens/s")
            if metrics.get("padding", 0) >= 0.005:
                parts.append(f"{metrics['padding']:.0%} padding")
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


def _begins_with(path: Path, step: int) -> bool:
    """True for a record that an earlier try began anew with this update, or did not even begin."""
    update = {"step": step, "kind": "train"}
    try:
        first = next(json_rows(path), update)
    except InputError:
        return False
    return isinstance(first, dict) and first | update == first
