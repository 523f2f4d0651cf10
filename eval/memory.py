"""How much memory BERT and DistilBERT take, to read and to learn, on the CPU in float32.

    python -m eval.memory
    python -m eval.memory --against torch --batch-size 1 32 --sequence-length 128 512

Of reading: weights and activations as the compiled program lays them out, and the most that a
process held which did nothing else, its libraries included (they stand below the table). Of
learning: what the gradient of a classifier keeps besides the weights and itself, as the compiler
says; it is not run.
Weights and tokens are random: memory does not depend on their values.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from rich.console import Console

from data.storage.atomic import check_writable
from data.storage.provenance import provenance, write_json_atomic
from eval.timing.device import check_torch
from eval.timing.peak import peak_main_memory
from eval.timing.worker import ask_once
from model.config import EncoderConfig, bert_base, distilbert_base
from model.errors import InputError, at_least_one
from model.pretrained import save
from model.tasks import SequenceClassification, backbone
from report.reading_speed import check_lengths, encoder
from report.tables import terminal_table
from tasks.texts.kind import Classification
from train.command.malloc import keep_freed_memory
from train.objectives.finetuning import TaskObjective
from train.objectives.objective import LossInputs
from train.update.step import split

MODELS = {"BERT": bert_base, "DistilBERT": distilbert_base}
TORCH_IMPORTS = """
import sys
import torch
from transformers import AutoModel
"""
TORCH_READS = """
folder, rows, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
with torch.inference_mode():
    model(torch.ones((rows, length), dtype=torch.long))
"""
PRINT_PEAK = """
from eval.timing.peak import peak_main_memory
print(peak_main_memory())
"""


@dataclass(frozen=True)
class Settings:
    """Measure what BERT and DistilBERT take of a machine's memory."""

    batch_size: tuple[int, ...] = (1, 32)
    """Sequences at a time."""
    sequence_length: tuple[int, ...] = (128, 512)
    """Tokens in a sequence, all of them attended."""
    against: Literal["torch"] | None = None
    """`torch`: Hugging Face's models read too, in processes of their own."""
    json: Path | None = None
    """A file for every number, the versions and the machine."""


def measure(settings: Settings) -> dict[str, Any]:
    """Measures, prints, and writes the file that was asked for. All numbers are bytes.

    Raises:
        InputError: a setting makes no sense, or torch is asked for and not there.
    """
    check(settings)
    check_writable(settings.json)
    found = []
    for length in settings.sequence_length:
        for rows in settings.batch_size:
            for name, make in MODELS.items():
                shape = (make(), rows, length)
                row = {"model": name, "rows": rows, "length": length}
                row |= ask_once(partial(reading, *shape)) | ask_once(partial(learning, *shape))
                if settings.against:
                    row["torch_peak"] = torch_peak(*shape)
                found.append(row)
    record: dict[str, Any] = {"libraries": ask_once(peak_main_memory), "measured": found}
    if settings.against:
        record["torch_libraries"] = int(alone(TORCH_IMPORTS + PRINT_PEAK))
    show(record)
    if settings.json is not None:
        about = {"settings": settings, "provenance": provenance()}
        write_json_atomic(settings.json, {**record, **about})
    return record


def check(settings: Settings) -> None:
    """Raises InputError for what cannot be measured."""
    at_least_one(settings, "batch_size", "sequence_length")
    check_lengths(settings.sequence_length, bert_base().max_positions)
    if settings.against:
        check_torch("--against torch")


def reading(config: EncoderConfig, rows: int, length: int) -> dict[str, int]:
    """What the encoder takes to read `rows` sequences of `length` tokens, in this process."""
    keep_freed_memory()  # as every command does
    jax.config.update("jax_platforms", "cpu")
    encode, params = encoder(backbone(config, rngs=nnx.Rngs(0)))
    ids = jnp.ones((rows, length), jnp.int32)
    compiled = encode.lower(params, ids).compile()
    compiled(params, ids).block_until_ready()
    used = compiled.memory_analysis()
    assert used is not None
    return {
        "weights": used.argument_size_in_bytes - ids.nbytes,
        "activations": used.temp_size_in_bytes + used.output_size_in_bytes,
        "peak": peak_main_memory(),
    }


def learning(config: EncoderConfig, rows: int, length: int) -> dict[str, int]:
    """What the gradient of a classifier keeps besides weights and gradient; it is not run."""
    jax.config.update("jax_platforms", "cpu")
    classifier = nnx.eval_shape(lambda: SequenceClassification(config, rngs=nnx.Rngs(0)))
    graphdef, params = split(classifier)
    objective = TaskObjective(graphdef, Classification())

    def loss(params, batch, key):
        numbers, shares = objective.numbers(jnp.zeros(())), {"task": 1 / rows}
        rngs = nnx.Rngs(dropout=key)
        return objective.loss(LossInputs(params, None, batch, rngs, numbers, shares))[0]

    grid = jax.ShapeDtypeStruct((rows, length), jnp.int32)
    batch = {
        "input_ids": grid,
        "token_type_ids": grid,
        "attention_mask": jax.ShapeDtypeStruct(grid.shape, bool),
        "label": jax.ShapeDtypeStruct((rows,), jnp.int32),
        "valid": jax.ShapeDtypeStruct((rows,), bool),
    }
    used = jax.jit(jax.grad(loss)).lower(params, batch, jax.random.key(0)).compile()
    memory = used.memory_analysis()
    assert memory is not None
    return {"learning": memory.temp_size_in_bytes}


def torch_peak(config: EncoderConfig, rows: int, length: int) -> int:
    """The most a process holds that reads the same with Hugging Face's model, and has no JAX."""
    with tempfile.TemporaryDirectory() as folder:
        save(backbone(config, rngs=nnx.Rngs(0)), folder)
        return int(alone(TORCH_IMPORTS + TORCH_READS + PRINT_PEAK, folder, str(rows), str(length)))


def alone(program: str, *arguments: str) -> str:
    """What a program prints that runs in an interpreter of its own.

    Raises:
        InputError: it ended otherwise.
    """
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise InputError(f"what was to be measured ended early: {last}")
    return done.stdout


def show(record: dict[str, Any]) -> None:
    """Prints the table."""
    columns = {
        "weights": "weights",
        "activations": "activations",
        "peak": "peak",
        "torch_peak": "torch:\npeak",
        "learning": "learning",
    }
    measured = record["measured"]
    names = [name for name in columns if name in measured[0]]
    header = ["", "sequences\nx tokens", *(columns[name] for name in names)]
    lines = [
        [row["model"], f"{row['rows']} x {row['length']}"]
        + [f"{row[name] / 1e6:,.0f}" for name in names]
        for row in measured
    ]
    console = Console(highlight=False)
    console.print(terminal_table("Memory in MB", header, lines))
    held = f"A process holds {record['libraries'] / 1e6:,.0f} MB before there is a model"
    if "torch_libraries" in record:
        held += f", one with torch {record['torch_libraries'] / 1e6:,.0f} MB"
    console.print(held + ".")


if __name__ == "__main__":
    import tyro

    from train.command.cli import main

    prog = "python -m eval.memory"
    main(lambda: measure(tyro.cli(Settings, prog=prog, description=__doc__)))
