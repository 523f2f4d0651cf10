"""Sentences that BERT and DistilBERT read in a second, beside the same in other libraries."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from eval.timing.device import use
from eval.timing.measurement import announced, check_lengths
from eval.timing.settings import SIZES, ReadingSpeed
from model.backbone import Backbone
from model.bert import Bert
from model.distilbert import DistilBert
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.hf.weight_map import ENCODERS
from model.pretrained import load, save
from report.reading_speed import reader, sizes, time_alternately
from report.tables import terminal_table

# Sanh et al. 2019, table 3: 668 and 410 seconds for a pass over STS-B's development set on a CPU,
# one sentence pair at a time.
PUBLISHED_RATIO = 668 / 410
_OTHERS = ("torch", "onnxruntime", "onnxruntime int8")
"""Other libraries, whose names are put before those of the models."""


def measure_reading(settings: ReadingSpeed, console: Console) -> dict[str, Any]:
    """Sizes, and sentences a second for each number of sentences and each length; prints them.

    Raises:
        InputError: there is no such device, others are to be compared elsewhere than on the CPU, or
            a model is not there or cannot read so many tokens.
    """
    if use(settings.device).platform != "cpu" and settings.against:
        raise InputError("--against compares reading on the CPU: give --device cpu")
    models = two_encoders(settings)
    positions = min(model.config.max_positions for model in models.values())
    check_lengths(settings.sequence_length, positions)
    lengths = settings.sequence_length or [n for n in (128, 512) if n <= positions] or [positions]
    speeds = []
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            save(model, Path(folder, name))
        programs = {}
        if "onnxruntime" in settings.against:
            programs = write_programs(models, Path(folder))
        for length in lengths:
            for batch in settings.batch_size:
                readers = {name: reader(model, batch, length) for name, model in models.items()}
                if "torch" in settings.against:
                    for name in models:
                        readers[f"torch: {name}"] = torch_reader(Path(folder, name), batch, length)
                for name, file in programs.items():
                    readers[name] = onnx_reader(file, batch, length)
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


def two_encoders(settings: ReadingSpeed) -> dict[str, Backbone]:
    """The teacher and the student to read with, by the names that the table gives them.

    Raises:
        InputError: one of `settings.pair` is no model.
    """
    if settings.pair is None:
        teacher, student = SIZES[settings.size]
        return {
            "BERT": Bert(teacher, rngs=nnx.Rngs(0)),
            "DistilBERT": DistilBert(student, rngs=nnx.Rngs(1)),
        }
    checkpoints = map(open_checkpoint, settings.pair)
    return {
        role: load(checkpoint, ENCODERS[checkpoint.config.architecture])
        for role, checkpoint in zip(("teacher", "student"), checkpoints, strict=True)
    }


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


def write_programs(models: Mapping[str, nnx.Module], folder: Path) -> dict[str, Path]:
    """Files of ONNX for the models, in float32 and in 8 bits, by the names of contenders."""
    import onnx

    from eval.export.programs import programs
    from eval.export.quantise import write_quantised

    files = {}
    for name, model in models.items():
        for library in ("onnxruntime", "onnxruntime int8"):
            files[f"{library}: {name}"] = folder / f"{name} {library}.onnx"
        program = programs(model)["model"]
        onnx.save(program, files[f"onnxruntime: {name}"])
        write_quantised(program, files[f"onnxruntime int8: {name}"])
    return files


def onnx_reader(file: Path, sentences: int, length: int) -> Callable[[], object]:
    """A function that encodes so many sentences of `length` tokens with a program of ONNX."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1  # as many as JAX takes
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    ids = np.ones((sentences, length), np.int64)
    feed = {each.name: ids for each in session.get_inputs()}
    return lambda: session.run(["last_hidden_state"], feed)


def reading_table(result: dict[str, Any]) -> Table:
    """Sentences a second, DistilBERT's speed over BERT's, and ours over that of others."""
    large, small = names = list(result["sizes"])
    ratio = f"{small}\n/ {large}\npaper: {PUBLISHED_RATIO:.2f}"
    there = result["speeds"][0]["sentences_per_second"]
    others = [other for other in _OTHERS if f"{other}: {large}" in there]
    header, lines = ["sentences\nx tokens", "in", *names, ratio, "ours\n/ theirs"], []
    for row in result["speeds"]:
        speeds = row["sentences_per_second"]
        ours = [speeds[name] for name in names]
        for other in ("", *others):
            size = "" if other else f"{row['batch']} x {row['length']}"
            values = [speeds[f"{other}: {name}"] for name in names] if other else ours
            ratios = [f"{a / b:.2f}" for a, b in zip(ours, values, strict=True)] if other else []
            line = [size, other or "ours", *map(_number, values), f"{values[1] / values[0]:.2f}"]
            lines.append([*line, ", ".join(ratios)])
    if not others:
        header, *lines = ([line[0], *line[2:-1]] for line in (header, *lines))
    return terminal_table("Sentences a second", header, lines)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"
