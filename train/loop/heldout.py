"""Metrics on held-out sequences: masked-LM quality, and a student's distance from its teacher."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from data.masking import MaskingConfig, mask_tokens
from data.open import Data
from train.config import TextConfig
from train.loop.fit import Evaluate
from train.loop.heldout_text import HeldOutText, PredictedTokens, Sums, means
from train.objectives.forward import gather_positions
from train.objectives.objective import DeviceBatch, LossInputs, TextObjective
from train.objectives.projection import LiftedStudent, student_of

# Held-out masks are uniform and always the same: with the frequency-weighted masks of training the
# loss would be another quantity.
MASKING = MaskingConfig(group_rows=1)
MASK_SEED = 0
OTHER = ("masked_lm_loss", "masked_lm_accuracy")


class HeldOut(HeldOutText):
    """Held-out sequences with fixed uniform masks; see `HeldOutText`.

    exp_masked_lm_loss: the exponential of the loss; not the pseudo-perplexity of Salazar et al.
        2020.
    """

    name = "masked_lm"

    def ask(self, batch: dict[str, Any]) -> PredictedTokens:
        masked = mask_tokens(
            jax.random.key(MASK_SEED, impl="threefry2x32"),
            batch["input_ids"],
            batch["attention_mask"],
            batch["row"],
            jnp.asarray(self.log_weights),
            config=MASKING,
            mask_id=self.special.mask,
        )
        return PredictedTokens(
            masked.input_ids,
            masked.labels,
            masked.valid,
            lambda hidden: gather_positions(hidden, masked.positions),
        )


SumsOf = Callable[[Any, dict[str, Any], DeviceBatch], Sums]
"""From parameters, an objective's constants and a batch to the sums and counts of metrics."""


def held_out(config: TextConfig, data: Data, metrics: type[HeldOutText] = HeldOut) -> HeldOutText:
    """The held-out sequences, evaluated as many at a time as are trained on."""
    return metrics(
        data.heldout,
        data.train.counts,
        data.vocabulary.special,
        rows=config.batch_size // config.micro_batches,
        limit=config.heldout_sequences,
    )


def evaluator(
    heldout: HeldOutText,
    model: nnx.Module,
    objective: TextObjective,
    teacher: nnx.GraphDef | None,
    place: Callable[[dict[str, Any]], DeviceBatch],
) -> Evaluate:
    """A function from parameters and constants to the held-out metrics."""
    sums = jax.jit(heldout_sums(heldout, model, objective, teacher))
    return lambda params, constants: means(
        heldout.total(lambda batch: sums(params, constants, place(batch)))
    )


def with_other(evaluate: Evaluate, elsewhere: Evaluate) -> Evaluate:
    """Both evaluations as one: all metrics of the first, and how well other text is predicted."""

    def both(params: Any, constants: dict[str, Any]) -> dict[str, float]:
        own, other = evaluate(params, constants), elsewhere(params, constants)
        return own | {f"other_{name}": other[name] for name in OTHER}

    return both


def heldout_sums(
    heldout: HeldOutText,
    model: nnx.Module,
    objective: TextObjective,
    teacher: nnx.GraphDef | None,
) -> SumsOf:
    """The quality of `model` or, where its head does not learn, the objective's terms."""
    if not objective.vocabulary:
        return term_sums(objective)
    student = nnx.graphdef(student_of(model))
    lifted = isinstance(model, LiftedStudent)
    return lambda params, constants, batch: heldout.sums(
        student, teacher, params["student"] if lifted else params, constants["teacher"], batch
    )


def term_sums(objective: TextObjective) -> SumsOf:
    """The objective's own terms, with masks that are always the same and without dropout.

    Their numbers, such as temperatures, are those of the last update.
    """

    def sums(params: Any, constants: dict[str, Any], batch: DeviceBatch) -> Sums:
        key = jax.random.key(MASK_SEED, impl="threefry2x32")
        micro = {name: array[None] for name, array in batch.items()}
        masked = jax.tree.map(lambda array: array[0], objective.prepare(constants, micro, key))
        where = objective.where(masked)
        numbers, shares = objective.numbers(jnp.float32(1)), {name: jnp.ones(()) for name in where}
        inputs = LossInputs(params, constants, masked, None, numbers, shares)
        _, made = objective.loss(inputs)
        return {
            f"heldout_{name}": (value, jnp.sum(where[name], dtype=jnp.float32))
            for name, value in made.items()
        }

    return sums
