"""What the losses over the vocabulary take, in chunks and with all scores at once.

    python -m eval.timing.vocabulary
    python -m eval.timing.vocabulary --topology v5e:2x4 --batch-size 8 64 --sequence-length 512
    python -m eval.timing.vocabulary --step --topology v5e:2x4 --batch-size 64 --sequence-length 512

Temporary memory of KL at all tokens and masked LM at 15 % of them, with the gradient, in
BERT-base's size; with --step of the whole update of distillation. All scores at once is the same
sum left to JAX to differentiate. Both are compiled for this machine, where the losses are also
timed by turns if it has the memory, or for TPUs (which takes libtpu, and no TPU).
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console

from data.storage.atomic import check_writable
from data.storage.provenance import provenance, write_json_atomic
from eval.timing.updates import TOTAL_STEPS
from model.config import bert_base
from model.errors import at_least_one
from model.heads import Decoder
from report.reading_speed import seconds_by_turns
from report.tables import terminal_table
from train.loop.memory import is_out_of_memory, memory_limit, memory_needed
from train.objectives.terms import ForwardKL, MaskedTokens
from train.objectives.vocabulary import CHUNK, Given, vocabulary_loss
from train.planning.abstract_step import abstract_step
from train.planning.tpus import find_topology
from train.recipes import DISTILL
from train.update.parallel import Parallel, ParallelConfig

TERMS = (("ce", ForwardKL()), ("mlm", MaskedTokens()))
NUMBERS = {"ce": {"temperature": 2.0}, "mlm": {}}


@dataclass(frozen=True)
class Settings:
    """Measure the losses over the vocabulary, in chunks and with all scores at once."""

    step: bool = False
    """The whole update of distillation, BERT-base and DistilBERT-base; memory only."""
    batch_size: tuple[int, ...] = (8,)
    """Sequences on each device."""
    sequence_length: int = 128
    """Tokens in a sequence."""
    topology: str | None = None
    """TPUs to compile for, such as v5e:2x4, in bfloat16; by default this machine, in float32."""
    repeats: int = 5
    """How often each is timed, after once that is not."""
    json: Path | None = None
    """A file for every number, the versions and the machine."""


def at_once(terms, chunk, student, given, numbers, shares):
    """`vocabulary_loss` without its chunks and its own gradient."""
    plain = inspect.unwrap(vocabulary_loss)
    return plain(terms, given.labels.shape[1], student, given, numbers, shares)


LOSSES: dict[str, Callable] = {"at once": at_once, "in chunks": vocabulary_loss}


def measure(settings: Settings) -> list[dict[str, Any]]:
    """Measures, prints, and writes the file that was asked for.

    Raises:
        InputError: a setting makes no sense, or there is no such topology.
    """
    at_least_one(settings, "batch_size", "sequence_length", "repeats")
    check_writable(settings.json)
    devices = None if settings.topology is None else find_topology(settings.topology).devices()
    parallel = Parallel(ParallelConfig(), devices)
    found = []
    for rows in settings.batch_size:
        programs, arguments = {}, losses_read(parallel, rows * parallel.count, settings)
        for way, loss in LOSSES.items():
            if settings.step:
                with patch("train.objectives.distillation.vocabulary_loss", loss):
                    lowered = lowered_step(parallel, rows * parallel.count, settings)
            else:
                lowered = lowered_losses(loss, *arguments)
            programs[way] = compiled(lowered)
        memory = {
            way: program and program.memory_analysis().temp_size_in_bytes
            for way, program in programs.items()
        }
        seconds = {}
        here = devices is None and not settings.step
        if here and all(p and memory_needed(p) < memory_limit() for p in programs.values()):
            made = materialised(arguments)
            calls = {way: partial(program, *made) for way, program in programs.items()}
            seconds = seconds_by_turns(calls, repeats=settings.repeats)
        found.append({"rows": rows, "temporary_bytes": memory, "seconds": seconds})
    show(settings, found)
    if settings.json is not None:
        about = {"settings": settings, "provenance": provenance()}
        write_json_atomic(settings.json, {"measured": found, **about})
    return found


def compiled(lowered: Any) -> Any:
    """The program, or None where a device has too little memory for it."""
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


def losses_read(parallel: Parallel, rows: int, settings: Settings) -> tuple[Decoder, Given]:
    """The shapes of what the losses read."""
    dtype = jnp.float32 if settings.topology is None else jnp.bfloat16
    shape, grid = bert_base(), (rows, settings.sequence_length)

    def array(dimensions: tuple[int, ...], kind: Any, sharding: Any) -> Any:
        return jax.ShapeDtypeStruct(dimensions, kind, sharding=sharding)

    decoder = Decoder(
        array((*grid, shape.hidden_size), dtype, parallel.by_rows),
        array((shape.vocab_size, shape.hidden_size), jnp.float32, parallel.replicated),
        array((shape.vocab_size,), jnp.float32, parallel.replicated),
    )
    where = dict.fromkeys(NUMBERS, array(grid, jnp.bool_, parallel.by_rows))
    given = Given(decoder, array(grid, jnp.int32, parallel.by_rows), where)
    return decoder, given


def lowered_losses(loss: Callable, student: Decoder, given: Given) -> jax.stages.Lowered:
    """The losses, each a mean, with their gradient."""
    places = given.labels.size
    shares = {"ce": 5.0 / places, "mlm": 2.0 / (0.15 * places)}

    def weighted(student: Decoder, given: Given):
        return loss(TERMS, CHUNK, student, given, NUMBERS, shares)

    return jax.jit(jax.value_and_grad(weighted, has_aux=True)).lower(student, given)


def lowered_step(parallel: Parallel, rows: int, settings: Settings) -> jax.stages.Lowered:
    """The update of `train.distill distilbert-base-uncased`, on one micro-batch."""
    recipe = DISTILL["distilbert-base-uncased"]()
    group_rows = math.gcd(recipe.masking.group_rows, rows // parallel.count)
    recipe = replace(
        recipe,
        data=replace(recipe.data, sequence_length=settings.sequence_length),
        masking=replace(recipe.masking, group_rows=group_rows),
        dtype="float32" if settings.topology is None else "bfloat16",
    )
    return abstract_step(recipe, TOTAL_STEPS).lower(parallel, rows, 1)


def materialised(shapes: Any) -> Any:
    """Random numbers, and masks that are true at 15 % of the places or, for the KL, at all."""
    leaves, structure = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.key(0), len(leaves))

    def make(key: jax.Array, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if leaf.dtype == jnp.bool_:
            return jax.random.bernoulli(key, 0.15, leaf.shape)
        if leaf.dtype == jnp.int32:
            return jax.random.randint(key, leaf.shape, 0, bert_base().vocab_size)
        return 0.05 * jax.random.normal(key, leaf.shape, leaf.dtype)

    student, given = structure.unflatten(map(make, keys, leaves))
    attended = jnp.ones_like(given.where["ce"])
    return student, given._replace(where=given.where | {"ce": attended})


def show(settings: Settings, found: list[dict[str, Any]]) -> None:
    """Prints a table, a row for each batch size."""
    what = "An update of distillation" if settings.step else "The losses over the vocabulary"
    where = settings.topology or "this machine, float32"
    header = ["rows x tokens", *(f"MiB {way}" for way in LOSSES), "share"]
    header += [f"s {way}" for way in LOSSES] if any(row["seconds"] for row in found) else []
    lines = []
    for row in found:
        memory = [row["temporary_bytes"][way] for way in LOSSES]
        cells = [f"{row['rows']} x {settings.sequence_length}"]
        cells += ["does not fit" if n is None else f"{n / 2**20:,.0f}" for n in memory]
        cells.append("" if None in memory else f"{memory[1] / memory[0]:.0%}")
        cells += [f"{np.median(t):.3g}" for t in row["seconds"].values()]
        lines.append(cells + [""] * (len(header) - len(cells)))
    title = f"{what}, temporary memory of a device ({where})"
    Console(highlight=False).print(terminal_table(title, header, lines))


if __name__ == "__main__":
    from train.command.cli import main

    prog = "python -m eval.timing.vocabulary"
    main(lambda: measure(tyro.cli(Settings, prog=prog, description=__doc__)))
