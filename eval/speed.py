"""How fast models read and learn, as ratios measured in one go on the same machine.

    python -m eval.speed
    python -m eval.speed --against torch --json speed.json
    python -m eval.speed --train --against torch
    python -m eval.speed --train --device gpu --attention-dropout 0 --against torch

Without --train: sentences a second that BERT and DistilBERT read, beside the paper's ratio. With
it: whole updates of pretraining (BERT-base) and distillation (BERT-base reads, DistilBERT-base
reads and learns), and epochs of fine-tuning (DistilBERT-base, texts as long as SST-2's): tokens/s,
model FLOP utilisation (counted as `eval.timing.flops` says), peak memory, and what compiling took.
Weights and tokens are random: speed does not depend on their values.

Only the command line needs tyro, and only fine-tuning grain: on a machine without them,
`from eval.speed import Speed, speed; speed(Speed(train=True, loops=("pretrain", "distill")))`.
"""

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
from flax import nnx
from rich import box
from rich.console import Console
from rich.table import Table

from data.storage.atomic import check_writable
from data.storage.provenance import provenance, versions, write_json_atomic
from eval.timing import loops as speed_loops
from eval.timing.device import Device, check_torch, use
from eval.timing.loops import LOOPS, Loop
from eval.timing.updates import SIZES
from model.bert import Bert
from model.distilbert import DistilBert
from model.errors import InputError, at_least_one
from report import reading_speed as speed_inference
from report.reading_speed import TORCH, check_lengths

# Sanh et al. 2019, table 3: 668 and 410 seconds for a pass over STS-B's development set on a CPU,
# one sentence pair at a time.
PUBLISHED_RATIO = 668 / 410


@dataclass(frozen=True)
class Speed:
    """Time BERT and DistilBERT: reading, or with --train whole updates of all loops."""

    train: bool = False
    """Time updates: losses, their gradient, the clip and AdamW."""
    loops: tuple[Loop, ...] = LOOPS
    """With --train: which loops are measured."""
    batch_size: tuple[int, ...] = ()
    """Sequences at a time; by default 1 8 32. With --train, of pretraining and distillation: by
    default 8 on a CPU, and elsewhere the most that fit, up to 256."""
    sequence_length: tuple[int, ...] = ()
    """Tokens in a sequence, all of them attended; by default 128 512, and 128 with --train on a
    CPU."""
    texts: int = 2048
    """With --train: texts of an epoch of fine-tuning. Among few of them torch finds fewer of like
    length for a batch, and pads more than in a whole epoch of SST-2."""
    size: Literal["base", "tiny"] = "base"
    """BERT-base and DistilBERT-base, or the pair of the tiny recipes."""
    device: Device | None = None
    """Where; by default where JAX computes on this machine."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """With --train: what our models compute in; auto: bfloat16, and float32 on a CPU."""
    attention_dropout: float | None = None
    """With --train: measure with this dropout of attention too, beside the models' own (0.1). With
    0 a GPU can use cuDNN's attention."""
    repeats: int = 5
    """How often each is timed, after once that is not."""
    against: Literal["torch"] | None = None
    """`torch`: Hugging Face's models do the same, by turns with ours."""
    json: Path | None = None
    """A file for every number, the versions and the machine."""


def speed(config: Speed) -> dict[str, Any]:
    """Measures, prints, and writes the file that was asked for.

    Raises:
        InputError: a setting makes no sense, or a device or torch is asked for and not there.
    """
    check(config)
    check_writable(config.json)
    jax.config.update("jax_enable_compilation_cache", False)  # what compiling takes is measured
    load = os.getloadavg()[0]
    # Into a file or pipe a table goes whole; rich would fold it at 80 columns.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    measured = updates(config, console) if config.train else reading(config, console)
    console.print(
        f"Medians of {config.repeats}. Load average before: {load:.1f} (the ratios mean something "
        "only on a quiet machine, where it is near 0)."
    )
    if config.json is not None:
        record = provenance()
        if config.against:
            record["versions"] |= versions(("torch", "transformers"))
        if config.train:  # this very process computes nothing on it
            record["devices"] |= {name: measured["device"][name] for name in ("platform", "kind")}
        about = {"settings": config, "load_average_before": load, "provenance": record}
        write_json_atomic(config.json, {**measured, **about})
    return measured


def updates(config: Speed, console: Console) -> dict[str, Any]:
    """Whole updates of the loops."""
    teacher, student = (make() for make in SIZES[config.size])
    measured = speed_loops.measure(
        teacher,
        student,
        loops=config.loops,
        on=config.device,
        dtype=None if config.dtype == "auto" else config.dtype,
        batches=config.batch_size,
        lengths=config.sequence_length,
        texts=config.texts,
        attention_dropout=config.attention_dropout,
        repeats=config.repeats,
        torch=config.against == "torch",
    )
    for record in measured["loops"]:
        console.print(speed_loops.table(record))
    console.print(speed_loops.about_device(measured["device"]))
    return measured


def reading(config: Speed, console: Console) -> dict[str, Any]:
    """Sentences that BERT and DistilBERT read."""
    platform = use(config.device).platform
    if config.against and platform != "cpu":
        raise InputError("--against torch compares reading on the CPU: give --device cpu")
    teacher, student = (make() for make in SIZES[config.size])
    models: dict[str, nnx.Module] = {
        "BERT": Bert(teacher, rngs=nnx.Rngs(0)),
        "DistilBERT": DistilBert(student, rngs=nnx.Rngs(1)),
    }
    measured = speed_inference.measure(
        models,
        batches=config.batch_size or (1, 8, 32),
        lengths=config.sequence_length
        or tuple(n for n in (128, 512) if n <= teacher.max_positions),
        repeats=config.repeats,
        torch=config.against == "torch",
    )
    console.print(reading_table(measured))
    return measured


def check(config: Speed) -> None:
    """Raises InputError for what cannot be measured."""
    given = ("batch_size",) if config.batch_size else ()
    at_least_one(config, *given, "texts", "repeats")
    check_lengths(config.sequence_length, SIZES[config.size][0]().max_positions)
    if config.attention_dropout is not None and not 0 <= config.attention_dropout < 1:
        raise InputError(
            f"--attention-dropout is {config.attention_dropout}, and must be in [0, 1)"
        )
    if config.train and "finetune" in config.loops and importlib.util.find_spec("grain") is None:
        raise InputError(
            "--loops finetune needs grain, which is not installed: pip install grain, or give "
            "--loops pretrain distill"
        )
    if config.against:
        check_torch("--against torch")


def reading_table(result: dict[str, Any]) -> Table:
    """Sizes and sentences a second, DistilBERT's speed over BERT's, and ours over torch's."""
    large, small = result["sizes"]
    about = "; ".join(
        f"{name}: {size['parameters'] / 1e6:.1f} M parameters, {size['bytes'] / 1e6:.0f} MB"
        for name, size in result["sizes"].items()
    )
    against = any(name.startswith(TORCH) for name in result["speeds"][0]["sentences_per_second"])
    table = Table(title=f"Sentences a second, float32\n{about}", box=box.SIMPLE_HEAD)
    titles = [
        "sentences\nx tokens",
        large,
        small,
        f"{small}\n/ {large}\npaper: {PUBLISHED_RATIO:.2f}",
    ]
    if against:
        titles += [f"torch:\n{large}", f"torch:\n{small}", "ours\n/ torch"]
    for title in titles:
        table.add_column(title, justify="right")
    for row in result["speeds"]:
        speeds = row["sentences_per_second"]
        cells = [
            f"{row['batch']} x {row['length']}",
            _number(speeds[large]),
            _number(speeds[small]),
        ]
        cells.append(f"{speeds[small] / speeds[large]:.2f}")
        if against:
            torch = [speeds[TORCH + name] for name in (large, small)]
            ratios = [speeds[n] / t for n, t in zip((large, small), torch, strict=True)]
            cells += [*map(_number, torch), ", ".join(f"{ratio:.2f}" for ratio in ratios)]
        table.add_row(*cells)
    return table


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    import tyro

    from train.command.cli import main

    main(lambda: speed(tyro.cli(Speed, prog="python -m eval.speed", description=__doc__)))
