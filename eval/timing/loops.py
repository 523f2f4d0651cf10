"""Updates of the three loops, beside torch's: their speed, and the memory that they need.

Every contender runs in a process of its own. On a CPU they make updates alternately, so that all
meet the same disturbances; on an accelerator one follows the other and has all its memory.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from eval.timing.device import about_device, device_sentence, utilisation_peak
from eval.timing.settings import SIZES, Loop, UpdateSpeed
from eval.timing.updates import TextCase
from eval.timing.worker import (
    OutOfMemoryError,
    TooSlowError,
    Worker,
    answer_once,
    update_alternately,
)
from model.errors import InputError
from model.terminal import say
from report.tables import duration, terminal_table

_TITLES = {
    "pretrain": "An update of pretraining",
    "distill": "An update of distillation",
    "finetune": "An epoch of fine-tuning",
}
OURS = "this repository, {dtype}"
AUTOCAST = "torch, bfloat16 autocast"
TORCH_SIDES = ("torch, float32", AUTOCAST)
FINETUNE_ROWS = 32  # as all of GLUE, Devlin et al. 2019
# Where none is given, on an accelerator: the first that fits.
BATCHES_TRIED = (256, 192, 128, 96, 64, 48, 32, 24, 16, 8, 4, 2, 1)
# A contender whose first update takes so many times that of the fastest is cut short, but none
# within the first minute: libraries prepare themselves in it.
TIMES_SLOWER, LEAST_LIMIT = 10, 60.0


def measure_updates(settings: UpdateSpeed, console: Console) -> dict[str, Any]:
    """Measures whole updates, with dropout, gradient, clip and AdamW; prints them.

    Returns:
        `device`, see `about_device`, `loops`: a record each for `loop_table`, and `left_out`: the
        comparisons for which --minutes left no time.

    Raises:
        InputError: there is no such device, or not even one sequence fits.
    """
    dtype = None if settings.dtype == "auto" else settings.dtype
    device = answer_once(partial(about_device, settings.device, dtype))
    on, cpu = device["platform"], device["platform"] == "cpu"
    if on not in ("cpu", "gpu", "tpu"):
        raise InputError(f"JAX computes on {on} here; --device knows cpu, gpu and tpu")
    jax.config.update("jax_platforms", "cpu")  # the accelerator is for those who are measured
    teacher, student = (config.replace(dtype=device["dtype"]) for config in SIZES[settings.size])
    lengths = settings.sequence_length or [
        n for n in ((128,) if cpu else (128, 512)) if n <= teacher.max_positions
    ]

    def cases(loop: Loop) -> Iterator[Any]:
        if loop == "finetune":
            from eval.timing.finetuning import FinetuneCase  # needs grain

            yield FinetuneCase(student, rows=FINETUNE_ROWS, texts=settings.texts, on=on)
            return
        for length in lengths:
            for rows in settings.batch_size or ((8,) if cpu else (None,)):
                # Without a number of rows the search sets it.
                yield TextCase(loop, teacher, student, rows=rows or 0, length=length, on=on)

    sides = [OURS.format(dtype=device["dtype"]), *(TORCH_SIDES if settings.against else ())]
    peak, records, comparisons = utilisation_peak(device), [], []
    for case in [case for loop in settings.loops for case in cases(loop)]:
        variants = {"": case}
        if (rate := settings.attention_dropout) is not None:
            changed = with_attention_dropout(case, rate)
            variants = {f", attention dropout {rate:g}": changed, **variants}
        asked = {side + name: (c, side) for name, c in variants.items() for side in sides}
        comparisons.append((case, asked))
    say(outlook(comparisons, settings.repeats, peak))
    clock = Clock(settings.minutes)
    left_out = []
    for case, asked in comparisons:
        length = getattr(case, "length", None)
        title = _title(case.loop, length)
        if not clock.has_time():
            say(f"{title}: left out, --minutes {settings.minutes:g} leave no time for it")
            left_out.append(title)
            continue
        say(f"{title}: {len(asked)} contenders")
        contenders = compare_contenders(asked, settings.repeats, together=cpu, peak=peak)
        clock.tick()
        records.append({"loop": case.loop, "length": length, "contenders": contenders})
    for record in records:
        console.print(loop_table(record))
    console.print(device_sentence(device))
    return {"device": device, "loops": records, "left_out": left_out}


class Clock:
    """The time that is left for parts of which none is expected to take longer than one before."""

    def __init__(self, minutes: float | None) -> None:
        self._end = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self._began, self._longest = time.monotonic(), 0.0

    def tick(self) -> None:
        """A part ends here, and the next begins."""
        now = time.monotonic()
        self._longest, self._began = max(self._longest, now - self._began), now

    def has_time(self) -> bool:
        """True if the next part will end in time; always of the first."""
        return self._longest == 0 or time.monotonic() + self._longest <= self._end


def outlook(comparisons: Sequence[tuple[Any, Mapping[str, Any]]], repeats: int, peak: float) -> str:
    """Sentence on what will be measured, and for how long where batches are known.

    Args:
        comparisons: cases, each with its contenders.
        repeats: timed updates of each.
        peak: FLOP/s of the device's products, of which the time supposes a half.
    """
    names = list(dict.fromkeys(name for _, asked in comparisons for name in asked))
    sentence = (
        f"{len(comparisons)} comparisons of {'; '.join(names)}: 1 update and {repeats} timed ones "
        "of each contender"
    )
    if not all(case.rows for case, _ in comparisons):
        return sentence + ", with the most sequences that fit, which is tried out first"
    updates = sum(case.flops * len(asked) for case, asked in comparisons) * (1 + repeats)
    return (
        f"{sentence}, about {duration(updates / (peak / 2))} at half the speed of matrix products, "
        "besides starting and compiling; a contender whose first update takes over "
        f"{TIMES_SLOWER} times that of the fastest is cut short"
    )


def with_attention_dropout(case: Any, rate: float) -> Any:
    """The case with another dropout of attention in whatever learns."""
    names = [name for name in ("teacher", "student") if hasattr(case, name)]
    return replace(
        case, **{name: getattr(case, name).replace(attention_dropout=rate) for name in names}
    )


def compare_contenders(
    asked: Mapping[str, tuple[Any, str]], repeats: int, *, together: bool, peak: float
) -> dict[str, dict[str, Any]]:
    """The numbers of each contender, by name: of a case, on a side (ours, or one of `TORCH_SIDES`).

    Those whose first update takes `TIMES_SLOWER` times that of the fastest before them have only
    the seconds after which it was `cut`.

    Args:
        asked: case and side, by name.
        repeats: of every update.
        together: whether they make updates alternately; otherwise one follows the other.
        peak: FLOP/s, of which utilisation is a share.
    """
    groups = [asked] if together else [{name: one} for name, one in asked.items()]
    result: dict[str, dict[str, Any]] = {}
    fastest = math.inf  # seconds a sequence
    for group in groups:
        with ExitStack() as stack:
            cases, workers = {}, {}
            for name, (case, side) in group.items():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                try:
                    cases[name], workers[name] = start_worker(case, side, folder, fastest)
                except TooSlowError as error:
                    say(f"{name}: cut short, its first update takes over {duration(error.limit)}")
                    result[name] = {"cut": error.limit}
                    continue
                stack.enter_context(workers[name])
                fastest = min(fastest, workers[name].first_seconds / cases[name].rows)
            seconds, facts = update_alternately(workers, repeats)
        for name, case in cases.items():
            median = float(np.median(seconds[name]))
            result[name] = {
                "batch": case.rows,
                "tokens": case.tokens,
                "flops": case.flops,
                "seconds": seconds[name],
                "tokens_per_second": case.tokens / median,
                "utilisation": case.flops / median / peak,
                **facts[name],
            }
    return {name: result[name] for name in asked}


def start_worker(
    case: Any, side: str, folder: Path, fastest: float = math.inf
) -> tuple[Any, Worker]:
    """A worker that has made an update; where the case has no rows, with the most that fit.

    Raises:
        InputError: it does not fit.
        TooSlowError: a sequence took `TIMES_SLOWER` times the seconds of the `fastest`.
    """
    for rows in (case.rows,) if case.rows else BATCHES_TRIED:
        sized = case if case.rows else replace(case, rows=rows)  # a case counts its FLOPs once
        limit = max(LEAST_LIMIT, TIMES_SLOWER * fastest * rows) if fastest < math.inf else None
        make = sized.ours
        if side in TORCH_SIDES:
            sized.save_for_torch(folder)
            make = partial(sized.torch, folder, autocast=side == AUTOCAST)
        try:
            return sized, Worker(make, limit)
        except OutOfMemoryError as error:
            reason = str(error)
    raise InputError(
        f"{side}: a batch of {rows} does not fit; a smaller --batch-size may ({reason})"
    )


def loop_table(record: dict[str, Any]) -> Table:
    """A row for every contender, with medians; torch's speed in float32 is 1.

    Tokens are without padding, whose share of the batches has a column.
    """
    contenders = record["contenders"]
    measured = {name: c for name, c in contenders.items() if "cut" not in c}
    first_torch = next((c for name, c in measured.items() if name.startswith(TORCH_SIDES[0])), None)
    header = ["", "batch", "seconds", "tokens/s", "padding", "MFU", "memory", "compiling"]
    header += ["over torch float32"] if first_torch else []
    lines = []
    for name, c in contenders.items():
        if name not in measured:
            lines.append([name, "", f"over {c['cut']:.3g}", *[""] * (len(header) - 3)])
            continue
        compiled = c.get("compile_seconds")
        line = [
            name,
            str(c["batch"]),
            f"{float(np.median(c['seconds'])):.3g}",
            f"{c['tokens_per_second']:,.0f}",
            f"{1 - c['tokens'] / c.get('positions', c['tokens']):.0%}",
            f"{c['utilisation']:.0%}",
            f"{c['peak_memory_bytes'] / 1e9:.2f} GB",
            f"{compiled:.1f} s" if compiled else "",
        ]
        if first_torch:
            line.append(f"{c['tokens_per_second'] / first_torch['tokens_per_second']:.2f} x")
        lines.append(line)
    return terminal_table(_title(record["loop"], record["length"]), header, lines)


def _title(loop: Loop, length: int | None) -> str:
    of = f"sequences of {length} tokens" if length else "texts as of SST-2"
    return f"{_TITLES[loop]}, {of}"
