"""Updates of the three loops, beside torch's: how fast they are, and what they need.

Every contender runs in a process of its own. On a CPU they take turns, update by update, so that
all meet the same disturbances; on an accelerator one follows the other and has all its memory.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from rich.table import Table

from eval.timing import device
from eval.timing.updates import TextCase
from eval.timing.worker import OutOfMemoryError, Worker, ask_once, by_turns
from model.config import DType, EncoderConfig
from model.errors import InputError
from report.tables import terminal_table

Loop = Literal["pretrain", "distill", "finetune"]
LOOPS: tuple[Loop, ...] = ("pretrain", "distill", "finetune")
TITLES = {
    "pretrain": "An update of pretraining",
    "distill": "An update of distillation",
    "finetune": "An epoch of fine-tuning",
}
OURS = "this repository, {dtype}"
AUTOCAST = "torch, bfloat16 autocast"
TORCH = ("torch, float32", AUTOCAST)
FINETUNE_ROWS = 32  # as all of GLUE, Devlin et al. 2019
# Where none is given, on an accelerator: the first that fits.
BATCHES_TRIED = (256, 192, 128, 96, 64, 48, 32, 24, 16, 8, 4, 2, 1)


def measure(
    teacher: EncoderConfig,
    student: EncoderConfig,
    *,
    loops: Sequence[Loop],
    on: device.Device | None,
    dtype: DType | None,
    batches: Sequence[int],
    lengths: Sequence[int],
    texts: int,
    attention_dropout: float | None,
    repeats: int,
    torch: bool,
) -> dict[str, Any]:
    """Measures whole updates, with dropout, gradient, clip and AdamW.

    Args:
        teacher: a BERT, which is pretrained or teaches.
        student: a DistilBERT, which is distilled or fine-tuned.
        loops: which are measured.
        on: where; by default where JAX would compute.
        dtype: what ours compute in; by default bfloat16, and float32 on a CPU.
        batches: sequences of an update of pretraining and distillation; by default 8 on a CPU, and
            otherwise the most that fit, up to 256.
        lengths: tokens of these sequences; by default 128, and 512 too where it is no CPU.
        texts: of an epoch of fine-tuning.
        attention_dropout: beside that of the models.
        repeats: of every update, after one that is not timed.
        torch: whether Hugging Face's models do the same.

    Returns:
        `device`, see `eval.timing.device.about`, and `loops`: a record each for `table`.

    Raises:
        InputError: there is no such device, or not even one sequence fits.
    """
    about = ask_once(partial(device.about, on, dtype))
    on, cpu = about["platform"], about["platform"] == "cpu"
    if on not in ("cpu", "gpu", "tpu"):
        raise InputError(f"JAX computes on {on} here; --device knows cpu, gpu and tpu")
    jax.config.update("jax_platforms", "cpu")  # the accelerator is for those who are measured
    teacher, student = (c.replace(dtype=about["dtype"]) for c in (teacher, student))
    lengths = lengths or tuple(
        n for n in ((128,) if cpu else (128, 512)) if n <= teacher.max_positions
    )

    def cases(loop: Loop) -> Iterator[Any]:
        if loop == "finetune":
            from eval.timing.finetuning import FinetuneCase  # needs grain

            yield FinetuneCase(student, rows=FINETUNE_ROWS, texts=texts, on=on)
            return
        for length in lengths:
            for rows in batches or ((8,) if cpu else (None,)):
                # Without a number of rows the search sets it.
                yield TextCase(loop, teacher, student, rows=rows or 0, length=length, on=on)

    records = []
    for loop in loops:
        for case in cases(loop):
            variants = {"": case}
            if attention_dropout is not None:
                name = f", attention dropout {attention_dropout:g}"
                variants = {name: with_attention_dropout(case, attention_dropout), **variants}
            sides = [OURS.format(dtype=about["dtype"]), *(TORCH if torch else ())]
            asked = {side + name: (c, side) for name, c in variants.items() for side in sides}
            records.append(
                {
                    "loop": loop,
                    "length": getattr(case, "length", None),
                    "contenders": compare(asked, repeats, together=cpu, peak=peak_of(about)),
                }
            )
    return {"device": about, "loops": records}


def with_attention_dropout(case: Any, rate: float) -> Any:
    """The case with another dropout of attention in whatever learns."""
    names = [name for name in ("teacher", "student") if hasattr(case, name)]
    return replace(
        case, **{name: getattr(case, name).replace(attention_dropout=rate) for name in names}
    )


def compare(
    asked: Mapping[str, tuple[Any, str]], repeats: int, *, together: bool, peak: float
) -> dict[str, dict[str, Any]]:
    """The numbers of each contender, by name: of a case, on a side (ours, or one of `TORCH`).

    Args:
        asked: case and side, by name.
        repeats: of every update.
        together: whether they take turns; otherwise one follows the other.
        peak: FLOP/s, of which utilisation is a share.
    """
    groups = [asked] if together else [{name: one} for name, one in asked.items()]
    result = {}
    for group in groups:
        with ExitStack() as stack:
            cases, workers = {}, {}
            for name, (case, side) in group.items():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                cases[name], workers[name] = start(case, side, folder)
                stack.enter_context(workers[name])
            seconds, facts = by_turns(workers, repeats)
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
    return result


def start(case: Any, side: str, folder: Path) -> tuple[Any, Worker]:
    """A worker that has made an update; where the case has no rows, with the most that fit.

    Raises:
        InputError: it does not fit.
    """
    for rows in (case.rows,) if case.rows else BATCHES_TRIED:
        sized = replace(case, rows=rows)
        make = sized.ours
        if side in TORCH:
            sized.save_for_torch(folder)
            make = partial(sized.torch, folder, autocast=side == AUTOCAST)
        try:
            return sized, Worker(make)
        except OutOfMemoryError as error:
            reason = str(error)
    raise InputError(
        f"{side}: a batch of {rows} does not fit; a smaller --batch-size may ({reason})"
    )


def peak_of(about: dict[str, Any]) -> float:
    """What utilisation is a share of: the published peak or, without one, the measured one."""
    return about["published_peak"] or about["measured_peak"]


def table(record: dict[str, Any]) -> Table:
    """A row for every contender, with medians; torch's speed in float32 is 1."""
    contenders = record["contenders"]
    first_torch = next((c for name, c in contenders.items() if name.startswith(TORCH[0])), None)
    header = ["", "batch", "seconds", "tokens/s", "MFU", "memory", "compiling"]
    header += ["over torch float32"] if first_torch else []
    lines = []
    for name, c in contenders.items():
        compiled = c.get("compile_seconds")
        line = [
            name,
            str(c["batch"]),
            f"{float(np.median(c['seconds'])):.3g}",
            f"{c['tokens_per_second']:,.0f}",
            f"{c['utilisation']:.0%}",
            f"{c['peak_memory_bytes'] / 1e9:.2f} GB",
            f"{compiled:.1f} s" if compiled else "",
        ]
        if first_torch:
            line.append(f"{c['tokens_per_second'] / first_torch['tokens_per_second']:.2f} x")
        lines.append(line)
    of = f"sequences of {record['length']} tokens" if record["length"] else "texts as of SST-2"
    return terminal_table(f"{TITLES[record['loop']]}, {of}", header, lines)


def about_device(about: dict[str, Any]) -> str:
    """What the utilisation is a share of, as a sentence."""
    measured = f"{about['measured_peak'] / 1e12:,.3g} TFLOP/s in a {about['dtype']} matrix product"
    published = about["published_peak"]
    of = (
        f"published: {published / 1e12:,.3g} TFLOP/s, which MFU is a share of"
        if published
        else ("MFU is a share of that")
    )
    return f"{about['kind']} ({about['platform']}): {measured}, measured; {of}."
