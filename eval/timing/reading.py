"""Sentences that BERT and DistilBERT read in a second, beside Hugging Face's models in torch."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from eval.timing.device import use
from eval.timing.measurement import announced
from eval.timing.settings import SIZES, ReadingSpeed
from model.bert import Bert
from model.distilbert import DistilBert
from model.errors import InputError
from model.pretrained import save
from report.reading_speed import reader, sizes, time_alternately
from report.tables import terminal_table

# Sanh et al. 2019, table 3: 668 and 410 seconds for a pass over STS-B's development set on a CPU,
# one sentence pair at a time.
PUBLISHED_RATIO = 668 / 410
_TORCH = "torch: "


def measure_reading(settings: ReadingSpeed, console: Console) -> dict[str, Any]:
    """Sizes, and sentences a second for each number of sentences and each length; prints them.

    Raises:
        InputError: there is no such device, or torch is to be compared elsewhere than on the CPU.
    """
    if use(settings.device).platform != "cpu" and settings.against:
        raise InputError("--against torch compares reading on the CPU: give --device cpu")
    teacher, student = SIZES[settings.size]
    models: dict[str, nnx.Module] = {
        "BERT": Bert(teacher, rngs=nnx.Rngs(0)),
        "DistilBERT": DistilBert(student, rngs=nnx.Rngs(1)),
    }
    lengths = settings.sequence_length or [n for n in (128, 512) if n <= teacher.max_positions]
    speeds = []
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            save(model, Path(folder, name))
        for length in lengths:
            for batch in settings.batch_size:
                readers = {name: reader(model, batch, length) for name, model in models.items()}
                if settings.against:
                    for name in models:
                        readers[_TORCH + name] = torch_reader(Path(folder, name), batch, length)
                what = announced(f"{batch} x {length} tokens")
                seconds = time_alternately(readers, repeats=settings.repeats, announce=what)
                rates = {name: batch / float(np.median(each)) for name, each in seconds.items()}
                speeds.append({"batch": batch, "length": length, "sentences_per_second": rates})
    result = {"sizes": {name: sizes(model) for name, model in models.items()}, "speeds": speeds}
    console.print(reading_table(result))
    for name, size in result["sizes"].items():
        millions, megabytes = size["parameters"] / 1e6, size["bytes"] / 1e6
        console.print(f"{name}: {millions:.1f} M parameters, {megabytes:.0f} MB.")
    return result


def torch_reader(folder: Path, sentences: int, length: int) -> Callable[[], object]:
    """A function that encodes so many sentences of `length` tokens with transformers' model."""
    import torch
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    model.eval()
    ids = torch.ones((sentences, length), dtype=torch.long)

    def read() -> float:
        with torch.inference_mode():
            return float(model(ids).last_hidden_state[0, 0, 0])

    return read


def reading_table(result: dict[str, Any]) -> Table:
    """Sentences a second, DistilBERT's speed over BERT's, and ours over torch's."""
    large, small = names = list(result["sizes"])
    ratio = f"{small}\n/ {large}\npaper: {PUBLISHED_RATIO:.2f}"
    header, lines = ["sentences\nx tokens", *names, ratio], []
    for row in result["speeds"]:
        speeds = row["sentences_per_second"]
        line = [f"{row['batch']} x {row['length']}", *(_number(speeds[name]) for name in names)]
        line.append(f"{speeds[small] / speeds[large]:.2f}")
        if torch := [speeds[_TORCH + name] for name in names if _TORCH + name in speeds]:
            ratios = [speeds[name] / value for name, value in zip(names, torch, strict=True)]
            line += [*map(_number, torch), ", ".join(f"{value:.2f}" for value in ratios)]
        lines.append(line)
    if len(lines[0]) > len(header):
        header += [*(f"torch:\n{name}" for name in names), "ours\n/ torch"]
    return terminal_table("Sentences a second, float32", header, lines)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
