"""Memory and time of the losses over the vocabulary, in chunks and with all scores at once.

Temporary memory of KL at all tokens and masked LM at 15 % of them, with the gradient, in
BERT-base's size; or of the whole update of distillation. All scores at once is the same sum left to
JAX to differentiate. Both are compiled for this machine, where the losses are also timed
alternately if it has the memory, or for TPUs (which takes libtpu, and no TPU).
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from eval.timing.measurement import announced
from eval.timing.settings import VocabularySpeed
from eval.timing.updates import TOTAL_STEPS
from model.config import bert_base
from model.heads import Decoder
from report.reading_speed import time_alternately
from report.tables import terminal_table
from train.loop.memory import is_out_of_memory, memory_limit, memory_needed
from train.objectives.distillation import DistillationObjective
from train.objectives.terms import ForwardKL, MaskedTokens
from train.objectives.vocabulary import CHUNK, Given, vocabulary_loss
from train.planning.abstract_step import abstract_step
from train.planning.tpus import find_topology
from train.recipes.distill import distill_base_uncased
from train.update.parallel import Parallel, ParallelConfig

TERMS = (("ce", ForwardKL()), ("mlm", MaskedTokens()))
NUMBERS = {"ce": {"temperature": 2.0}, "mlm": {}}


def at_once(terms, chunk, student, given, numbers, shares):
    """`vocabulary_loss` without its chunks and its own gradient."""
    plain = inspect.unwrap(vocabulary_loss)
    return plain(terms, given.labels.shape[1], student, given, numbers, shares)


LOSSES: dict[str, Callable] = {"at once": at_once, "in chunks": vocabulary_loss}


def measure_vocabulary(settings: VocabularySpeed, console: Console) -> dict[str, Any]:
    """Bytes and seconds of both losses, by batch size; prints them.

    Raises:
        InputError: there is no such topology.
    """
    devices = None if settings.topology is None else find_topology(settings.topology).devices()
    parallel = Parallel(ParallelConfig(), devices)
    rows = []
    for batch in settings.batch_size:
        sequences, programs = batch * parallel.count, {}
        shapes = loss_inputs(parallel, sequences, settings)
        for name, loss in LOSSES.items():
            if settings.step:
                lowered = lowered_step(loss, parallel, sequences, settings)
            else:
                lowered = lowered_losses(loss, *shapes)
            programs[name] = compiled(lowered)
        memory = {
            name: program and program.memory_analysis().temp_size_in_bytes
            for name, program in programs.items()
        }
        seconds = {}
        here = devices is None and not settings.step
        if here and all(p and memory_needed(p) < memory_limit() for p in programs.values()):
            arrays = random_inputs(shapes)
            calls = {name: partial(program, *arrays) for name, program in programs.items()}
            what = announced(f"{sequences} x {settings.sequence_length} tokens")
            seconds = time_alternately(calls, repeats=settings.repeats, announce=what)
        rows.append({"rows": batch, "temporary_bytes": memory, "seconds": seconds})
    print_losses(settings, rows, console)
    return {"measured": rows}


def compiled(lowered: Any) -> Any:
    """The program, or None where a device has too little memory for it."""
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


def loss_inputs(parallel: Parallel, rows: int, settings: VocabularySpeed) -> tuple[Decoder, Given]:
    """The shapes of the inputs of the losses."""
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


def lowered_step(
    loss: Callable, parallel: Parallel, rows: int, settings: VocabularySpeed
) -> jax.stages.Lowered:
    """The update of `train.distill distilbert-base-uncased`, on one micro-batch."""
    recipe = distill_base_uncased()
    group_rows = math.gcd(recipe.masking.group_rows, rows // parallel.count)
    recipe = replace(
        recipe,
        data=replace(recipe.data, sequence_length=settings.sequence_length),
        masking=replace(recipe.masking, group_rows=group_rows),
        dtype="float32" if settings.topology is None else "bfloat16",
    )
    step = abstract_step(recipe, TOTAL_STEPS)
    assert isinstance(step.objective, DistillationObjective)
    step.objective.vocabulary_loss = loss
    return step.lower(parallel, rows, 1)


def random_inputs(shapes: Any) -> Any:
    """Random arrays; the masks are true at 15 % of the places or, for the KL, at all."""
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


def print_losses(settings: VocabularySpeed, rows: list[dict[str, Any]], console: Console) -> None:
    """Prints a line for each batch size."""
    what = "An update of distillation" if settings.step else "The losses over the vocabulary"
    where = settings.topology or "this machine, float32"
    header = ["rows x tokens", *(f"MiB {name}" for name in LOSSES), "share"]
    header += [f"s {name}" for name in LOSSES] if any(row["seconds"] for row in rows) else []
    lines = []
    for row in rows:
        memory = [row["temporary_bytes"][name] for name in LOSSES]
        cells = [f"{row['rows']} x {settings.sequence_length}"]
        cells += ["does not fit" if n is None else f"{n / 2**20:,.0f}" for n in memory]
        cells.append("" if None in memory else f"{memory[1] / memory[0]:.0%}")
        cells += [f"{np.median(t):.3g}" for t in row["seconds"].values()]
        lines.append(cells + [""] * (len(header) - len(cells)))
    title = f"{what}, temporary memory of a device ({where})"
    console.print(terminal_table(title, header, lines))
