"""What a run is judged by while it learns from text: the part of it that is held out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from data.pipeline import Data
from data.tokenizer import special_ids
from eval.heldout import MASK_SEED, HeldOut, Sums, means
from train.config import TextConfig
from train.lifted import LiftedStudent, student_of
from train.loop import Evaluate
from train.objectives import MaskedLMObjective
from train.step import Batch

SumsOf = Callable[[Any, dict[str, Any], Batch], Sums]
"""From parameters, an objective's constants and a batch to the sums and counts of metrics."""


def held_out(config: TextConfig, data: Data) -> HeldOut:
    """The held-out sequences, evaluated as many at a time as are trained on."""
    return HeldOut(
        data.heldout,
        data.train.counts,
        special_ids(data.tokenizer),
        rows=config.batch_size // config.micro_batches,
        limit=config.heldout_sequences,
    )


def evaluator(
    heldout: HeldOut,
    model: nnx.Module,
    objective: MaskedLMObjective,
    teacher: nnx.GraphDef | None,
    place: Callable[[dict[str, Any]], Batch],
) -> Evaluate:
    """A function from parameters and constants to the held-out metrics."""
    sums = jax.jit(heldout_sums(heldout, model, objective, teacher))
    return lambda params, constants: means(
        heldout.total(lambda batch: sums(params, constants, place(batch)))
    )


def heldout_sums(
    heldout: HeldOut,
    model: nnx.Module,
    objective: MaskedLMObjective,
    teacher: nnx.GraphDef | None,
) -> SumsOf:
    """The masked-LM quality of `model` or, where its head does not learn, the objective's terms."""
    if not objective.vocabulary:
        return term_sums(objective)
    student = nnx.graphdef(student_of(model))
    lifted = isinstance(model, LiftedStudent)
    return lambda params, constants, batch: heldout.sums(
        student, teacher, params["student"] if lifted else params, constants["teacher"], batch
    )


def term_sums(objective: MaskedLMObjective) -> SumsOf:
    """The objective's own terms, with masks that are always the same and without dropout.

    Their numbers, such as temperatures, are those of the last update.
    """

    def sums(params: Any, constants: dict[str, Any], batch: Batch) -> Sums:
        key = jax.random.key(MASK_SEED, impl="threefry2x32")
        micro = {name: array[None] for name, array in batch.items()}
        masked = jax.tree.map(lambda array: array[0], objective.prepare(constants, micro, key))
        where = objective.where(masked)
        numbers, shares = objective.numbers(jnp.float32(1)), {name: jnp.ones(()) for name in where}
        _, made = objective.loss(params, constants, masked, None, numbers, shares)
        return {
            f"heldout_{name}": (value, jnp.sum(where[name], dtype=jnp.float32))
            for name, value in made.items()
        }

    return sums
