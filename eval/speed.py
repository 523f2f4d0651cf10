"""How fast models read and learn, as ratios measured in one go on the same machine.

    python -m eval.speed
    python -m eval.speed --against torch --json speed.json
    python -m eval.speed --train --against torch

Without --train: sentences a second that BERT and DistilBERT read, beside the paper's ratio. With
it: whole updates of distillation, BERT-base reading and DistilBERT-base reading and learning.
Weights and tokens are random: speed does not depend on their values.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro
from flax import nnx
from rich import box
from rich.console import Console
from rich.table import Table

from eval import speed_inference, speed_training
from eval.speed_inference import TORCH
from eval.speed_training import OURS
from model.bert import Bert
from model.config import EncoderConfig, bert_base, distilbert_base, tiny_bert, tiny_distilbert
from model.distilbert import DistilBert
from model.errors import InputError
from train.provenance import provenance, write_json_atomic

SIZES: dict[str, tuple[Callable[[], EncoderConfig], Callable[[], EncoderConfig]]] = {
    "base": (bert_base, distilbert_base),
    "tiny": (tiny_bert, tiny_distilbert),
}
# Sanh et al. 2019, table 3: 668 and 410 seconds for a pass over STS-B's development set on a CPU,
# one sentence pair at a time.
PUBLISHED_RATIO = 668 / 410


@dataclass(frozen=True)
class Speed:
    """Time BERT and DistilBERT: reading, or with --train whole updates of distillation."""

    train: bool = False
    """Time updates: the triple loss, its gradient, the clip and AdamW."""
    batch: tuple[int, ...] = ()
    """Sequences at a time; by default 1 8 32, and 8 with --train."""
    length: tuple[int, ...] = ()
    """Tokens in a sequence, all of them attended; by default 128 512, and 128 with --train."""
    size: Literal["base", "tiny"] = "base"
    """BERT-base and DistilBERT-base, or the pair of the tiny recipes."""
    repeats: int = 5
    """How often each is timed, after once that is not."""
    against: Literal["torch"] | None = None
    """`torch`: Hugging Face's models do the same, by turns with ours."""
    json: Path | None = None
    """A file for every number, the versions and the machine."""


def speed(config: Speed) -> dict[str, Any]:
    """Measures, prints, and writes the file that was asked for.

    Raises:
        InputError: a setting makes no sense, or torch is asked for and not there.
    """
    batches = config.batch or ((8,) if config.train else (1, 8, 32))
    positions = SIZES[config.size][0]().max_positions
    default = (128,) if config.train else (128, 512)
    lengths = config.length or tuple(length for length in default if length <= positions)
    check(config, batches, lengths, positions)
    jax.config.update("jax_enable_compilation_cache", False)  # what compiling takes is measured
    load = os.getloadavg()[0]
    teacher, student = (make() for make in SIZES[config.size])
    torch = config.against == "torch"
    console = Console(highlight=False)
    if config.train:
        updates = [
            speed_training.measure(
                teacher, student, rows=rows, length=length, repeats=config.repeats, torch=torch
            )
            for length in lengths
            for rows in batches
        ]
        result: dict[str, Any] = {"updates": updates}
        for update in updates:
            console.print(update_table(update))
            console.print(
                f"Ours compiled in {update['compile_seconds']:.1f} s; peak memory of the process "
                f"until then: {update['peak_memory_bytes'] / 1e9:.2f} GB (ru_maxrss)."
            )
    else:
        models: dict[str, nnx.Module] = {
            "BERT": Bert(teacher, rngs=nnx.Rngs(0)),
            "DistilBERT": DistilBert(student, rngs=nnx.Rngs(1)),
        }
        result = speed_inference.measure(
            models, batches=batches, lengths=lengths, repeats=config.repeats, torch=torch
        )
        console.print(reading_table(result))
    console.print(
        f"Medians of {config.repeats}. Load average before: {load:.1f} (the ratios mean something "
        "only on a quiet machine, where it is near 0)."
    )
    if config.json is not None:
        record = provenance()
        if torch:
            record["versions"] |= {p: metadata.version(p) for p in ("torch", "transformers")}
        about = {"settings": config, "load_average_before": load, "provenance": record}
        write_json_atomic(config.json, {**result, **about})
    return result


def check(
    config: Speed, batches: tuple[int, ...], lengths: tuple[int, ...], positions: int
) -> None:
    """Raises InputError for what cannot be measured."""
    for name, values in (("batch", batches), ("repeats", (config.repeats,))):
        for value in values:
            if value < 1:
                raise InputError(f"--{name} is {value}, and must be at least 1")
    for length in lengths:
        if not 1 <= length <= positions:
            raise InputError(
                f"--length is {length}, and the {config.size} models have {positions} positions"
            )
    if config.against is None:
        return
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        raise InputError(
            "--against torch needs torch and transformers, which are not installed: "
            "pip install -e .[oracle]"
        )
    if jax.default_backend() != "cpu":
        raise InputError("--against torch compares on the CPU: set JAX_PLATFORMS=cpu")


def update_table(update: dict[str, Any]) -> Table:
    """Medians, a row each, and how many times as fast each is as torch in float32."""
    medians = {name: float(np.median(times)) for name, times in update["seconds"].items()}
    first_torch = next((median for name, median in medians.items() if name != OURS), None)
    rows, length = update["batch"], update["length"]
    result = Table(
        title=f"An update of distillation, {rows} x {length} tokens", box=box.SIMPLE_HEAD
    )
    result.add_column("")
    for title in ("seconds", "tokens/s", *(["speed over torch float32"] if first_torch else [])):
        result.add_column(title, justify="right")
    for name, median in medians.items():
        cells = [f"{median:.3g}", f"{rows * length / median:,.0f}"]
        result.add_row(name, *cells, *([f"{first_torch / median:.2f} x"] if first_torch else []))
    return result


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
    from train.cli import main

    main(lambda: speed(tyro.cli(Speed, prog="python -m eval.speed")))
