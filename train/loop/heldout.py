"""Metrics on held-out sequences: masked-LM quality, and a student's distance from its teacher."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data.masking import MaskingConfig, mask_tokens, token_log_weights
from data.open import Data
from data.sequences import Sequences
from data.vocabulary import SpecialIds
from train.config import MaskedConfig, TextConfig
from train.loop.fit import Evaluate
from train.loop.heldout_text import HeldOutText, PredictedTokens, Sums, means
from train.objectives.distillation import DistillationObjective
from train.objectives.forward import gather_positions
from train.objectives.objective import DeviceBatch, LossInputs, TextObjective
from train.objectives.projection import LiftedStudent, student_of

# Held-out masks are uniform and always the same: with the frequency-weighted masks of training the
# loss is another quantity, with names of its own.
MASKING = MaskingConfig(group_rows=1)
MASK_SEED = 0
OTHER = ("masked_lm_loss", "masked_lm_accuracy")
ON_TRAINING_MASKS = {
    "masked_lm_loss": "training_masks_loss",
    "masked_lm_accuracy": "training_masks_accuracy",
    "unigram_loss": "training_masks_unigram_loss",
    "unigram_accuracy": "training_masks_unigram_accuracy",
    "kl_to_teacher": "training_masks_kl",
    "top1_agreement": "training_masks_agreement",
}


class HeldOut(HeldOutText):
    """Held-out sequences with fixed uniform masks; see `HeldOutText`.

    exp_masked_lm_loss: the exponential of the loss; not the pseudo-perplexity of Salazar et al.
        2020.
    training_masks_loss, training_masks_accuracy and so on (`ON_TRAINING_MASKS`): the same measures
        at tokens that are chosen and hidden as `training` says, drawn in each sequence for itself;
        only with `training`.
    """

    name = "masked_lm"

    def __init__(
        self,
        sequences: Sequences,
        counts: np.ndarray,
        special: SpecialIds,
        *,
        rows: int,
        limit: int | None = None,
        training: MaskingConfig | None = None,
    ):
        super().__init__(sequences, counts, special, rows=rows, limit=limit)
        self.masking, self.trained = MASKING, None
        if training is not None:
            self.trained = copy(self)
            self.trained.masking = one_by_one(training)
            self.trained.log_weights = token_log_weights(counts, special, training.smoothing)

    def sums(self, *models_and_batch: Any) -> Sums:
        sums = super().sums(*models_and_batch)
        if self.trained is None:
            return sums
        same = self.trained.masking == self.masking
        others = sums if same else self.trained.sums(*models_and_batch)
        named = {name: others[known] for known, name in ON_TRAINING_MASKS.items() if known in sums}
        return sums | named

    def ask(self, batch: dict[str, Any]) -> PredictedTokens:
        masked = mask_tokens(
            jax.random.key(MASK_SEED, impl="threefry2x32"),
            batch["input_ids"],
            batch["attention_mask"],
            batch["row"],
            jnp.asarray(self.log_weights),
            config=self.masking,
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


def one_by_one(masking: MaskingConfig) -> MaskingConfig:
    """The same masks, drawn in each sequence for itself: they do not depend on the batch."""
    return replace(masking, group_rows=1)


def held_out(
    config: TextConfig,
    data: Data,
    metrics: type[HeldOutText] = HeldOut,
    *,
    both: bool = False,
) -> HeldOutText:
    """The held-out sequences, evaluated as many at a time as are trained on.

    Where the masks of training are not uniform, or with `both`, there are also the metrics under
    the masks of training.
    """
    own = {}
    if isinstance(config, MaskedConfig) and (both or one_by_one(config.masking) != MASKING):
        own = {"training": config.masking}
    return metrics(
        data.heldout,
        data.train.counts,
        data.vocabulary.special,
        rows=config.batch_size // config.micro_batches,
        limit=config.heldout_sequences,
        **own,
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

    Their numbers, such as temperatures, are those of the last update, and the teacher's answers are
    its own (`DistillConfig.answers`).
    """
    objective = copy(objective)
    if isinstance(objective, DistillationObjective):
        objective.answers, objective.stored = "teacher", False

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
