"""Memory that BERT and DistilBERT take, to read and to learn, on the CPU in float32.

    python -m eval.memory
    python -m eval.memory --against torch --batch-size 1 32 --sequence-length 128 512

Of reading: weights and activations as the compiled program lays them out, and the most that a
process held which did nothing else, its libraries included (they are given below the table). Of
learning: what the gradient of a classifier keeps besides the weights and itself, as the compiler
says; it is not run. Weights and tokens are random: memory does not depend on their values.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from rich.console import Console

from eval.timing.device import check_torch
from eval.timing.measurement import Measurement, check_lengths, run_measurement
from eval.timing.peak import peak_main_memory
from eval.timing.settings import SIZES
from eval.timing.worker import answer_once
from model.config import EncoderConfig
from model.errors import InputError
from model.pretrained import save
from model.ranges import Length, Rows
from model.tasks import SequenceClassification, backbone
from report.reading_speed import encoder
from report.tables import terminal_table
from tasks.texts.kind import Classification
from train.command.malloc import keep_freed_memory
from train.objectives.finetuning import TaskObjective
from train.objectives.objective import LossInputs
from train.update.step import split

# A process with torch and without JAX; with arguments it reads.
TORCH = """
import sys
import torch
from transformers import AutoModel
from eval.timing.peak import peak_main_memory
if sys.argv[1:]:
    folder, rows, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    with torch.inference_mode():
        model.eval()(torch.ones((rows, length), dtype=torch.long))
print(peak_main_memory())
"""


@dataclass(frozen=True, kw_only=True)
class MemoryUse(Measurement):
    """Measure the memory that BERT and DistilBERT take."""

    batch_size: tuple[Rows, ...] = (1, 32)
    """Sequences at a time."""
    sequence_length: tuple[Length, ...] = (128, 512)
    """Tokens in a sequence, all of them attended."""
    against: Literal["torch"] | None = None
    """`torch`: Hugging Face's models read too, in processes of their own."""

    def check(self) -> None:
        super().check()
        check_lengths(self.sequence_length, SIZES["base"][0].max_positions)
        if self.against:
            check_torch("--against torch")


def measure_memory(settings: MemoryUse, console: Console) -> dict[str, Any]:
    """Bytes that every model takes, for each length and batch size; prints them."""
    rows = []
    for length in settings.sequence_length:
        for batch in settings.batch_size:
            for name, config in zip(("BERT", "DistilBERT"), SIZES["base"], strict=True):
                shape = (config, batch, length)
                row = {"model": name, "rows": batch, "length": length}
                row |= answer_once(partial(reading, *shape))
                row |= answer_once(partial(learning, *shape))
                if settings.against:
                    row["torch_peak"] = torch_peak(*shape)
                rows.append(row)
    result: dict[str, Any] = {"libraries": answer_once(peak_main_memory), "measured": rows}
    if settings.against:
        result["torch_libraries"] = torch_peak()
    print_memory(result, console)
    return result


def reading(config: EncoderConfig, rows: int, length: int) -> dict[str, int]:
    """Bytes that the encoder takes to read `rows` sequences of `length` tokens, here."""
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
    """Bytes that the gradient of a classifier keeps besides weights and gradient; it is not run."""
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


def torch_peak(config: EncoderConfig | None = None, rows: int = 0, length: int = 0) -> int:
    """The most bytes of a process that reads with Hugging Face's model, or with none loads torch.

    Raises:
        InputError: the process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        if config is not None:
            save(backbone(config, rngs=nnx.Rngs(0)), folder)
        arguments = [] if config is None else [folder, str(rows), str(length)]
        done = subprocess.run(
            [sys.executable, "-c", TORCH, *arguments], capture_output=True, text=True
        )
    if done.returncode:
        last = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise InputError(f"the process that was measured ended early: {last}")
    return int(done.stdout)


def print_memory(result: dict[str, Any], console: Console) -> None:
    """Prints a line for each model, batch size and length, and what the libraries take."""
    columns = {
        "weights": "weights",
        "activations": "activations",
        "peak": "peak",
        "torch_peak": "torch:\npeak",
        "learning": "learning",
    }
    measured = result["measured"]
    names = [name for name in columns if name in measured[0]]
    header = ["", "sequences\nx tokens", *(columns[name] for name in names)]
    lines = [
        [row["model"], f"{row['rows']} x {row['length']}"]
        + [f"{row[name] / 1e6:,.0f}" for name in names]
        for row in measured
    ]
    console.print(terminal_table("Memory in MB", header, lines))
    held = f"A process holds {result['libraries'] / 1e6:,.0f} MB before there is a model"
    if "torch_libraries" in result:
        held += f", one with torch {result['torch_libraries'] / 1e6:,.0f} MB"
    console.print(held + ".")


if __name__ == "__main__":
    import tyro

    from train.command.cli import main

    settings = partial(tyro.cli, MemoryUse, prog="python -m eval.memory", description=__doc__)
    main(lambda: run_measurement(settings(), measure_memory))
