"""Metrics on held-out sequences: masked-LM quality, and a student's distance from its teacher."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float32

from data.batches import heldout_batches
from data.masking import MaskingConfig, mask_tokens, token_log_weights
from data.open import Data
from data.sequences import Sequences
from data.vocabulary import SpecialIds
from train.command.signals import heeding
from train.config import TextConfig
from train.loop.fit import Evaluate
from train.objectives.distillation import MaskedLMObjective
from train.objectives.forward import gather_positions
from train.objectives.losses import cosine_distance, cross_entropy, distillation_kl, masked_sum
from train.objectives.objective import DeviceBatch, LossInputs
from train.objectives.projection import LiftedStudent, student_of

# Held-out masks are uniform and always the same: with the frequency-weighted masks of training the
# loss would be another quantity.
MASKING = MaskingConfig(group_rows=1)
MASK_SEED = 0
BINS = 15
OTHER = ("masked_lm_loss", "masked_lm_accuracy")

Sums = dict[str, tuple[Float32[Array, "*bins"], Float32[Array, ""]]]


class HeldOut:
    """Held-out sequences with fixed uniform masks.

    Metrics are means over all predicted tokens (`hidden_cosine`: over all attended tokens); the
    last batch is filled up with rows that do not count.

    masked_lm_loss, masked_lm_accuracy: cross-entropy in nats, and share of right first guesses.
    exp_masked_lm_loss: its exponential; not the pseudo-perplexity of Salazar et al. 2020.
    unigram_loss, unigram_accuracy: the floor, a model that knows only how often tokens occur in the
        training text (add-one smoothed) and always guesses the most frequent.
    calibration_error: how far the probabilities of first guesses are from how often these are
        right, as the expected calibration error over 15 bins (Guo et al. 2017, equation 3).
    kl_to_teacher, top1_agreement: KL(teacher || student) at temperature 1, and the share of tokens
        where both guess the same.
    hidden_cosine: the cosine of the last hidden states, where both are equally wide.
    """

    def __init__(
        self,
        sequences: Sequences,
        counts: np.ndarray,
        special: SpecialIds,
        *,
        rows: int,
        limit: int | None = None,
    ):
        self.sequences = sequences
        self.rows = rows
        self.limit = limit
        self.special = special
        self.log_weights = token_log_weights(counts, special, smoothing=0.0)
        # The floor never guesses what is never asked for.
        frequencies = np.where(np.isfinite(self.log_weights), counts + 1.0, 0.0)
        with np.errstate(divide="ignore"):
            log_unigram = np.log(frequencies / frequencies.sum())
        self.log_unigram = log_unigram.astype(np.float32)

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        return heldout_batches(
            self.sequences, rows=self.rows, pad_id=self.special.pad, limit=self.limit
        )

    def evaluator(
        self,
        student: nnx.GraphDef,
        teacher: nnx.GraphDef | None = None,
        place: Callable[[dict[str, np.ndarray]], Any] = lambda batch: batch,
    ) -> Callable[[Any, Any], dict[str, float]]:
        """A function from the parameters of student and teacher to the metrics.

        `place` puts a batch onto the devices.
        """
        sums = jax.jit(lambda *inputs: self.sums(student, teacher, *inputs))

        def evaluate(params: Any, teacher_params: Any = None) -> dict[str, float]:
            return means(self.total(lambda batch: sums(params, teacher_params, place(batch))))

        return evaluate

    def total(self, sums: Callable[[dict[str, np.ndarray]], Any]) -> Any:
        """The results of `sums` for each batch, added up."""
        parts = map(heeding(sums), self.batches())
        total = next(parts)  # `prepare` refuses an empty split
        for part in parts:
            jax.block_until_ready(total)  # one batch waits, not all: so a stop comes soon
            total = jax.tree.map(jnp.add, total, part)
        return total

    def sums(
        self,
        student_graphdef: nnx.GraphDef,
        teacher_graphdef: nnx.GraphDef | None,
        params: Any,
        teacher_params: Any,
        batch: dict[str, Any],
    ) -> Sums:
        """Every metric of a batch but the exponential, as sum and count."""
        student = nnx.merge(student_graphdef, params)
        teacher = None
        if teacher_graphdef is not None:
            teacher = nnx.merge(teacher_graphdef, teacher_params)
        masked = mask_tokens(
            jax.random.key(MASK_SEED, impl="threefry2x32"),
            batch["input_ids"],
            batch["attention_mask"],
            batch["row"],
            jnp.asarray(self.log_weights),
            config=MASKING,
            mask_id=self.special.mask,
        )
        inputs = masked.input_ids, batch["attention_mask"]
        hidden = student.backbone(*inputs).last_hidden
        logits = student.predict_tokens(gather_positions(hidden, masked.positions))
        guess = jnp.argmax(logits, axis=-1)
        right = guess == masked.labels
        values = {
            "masked_lm_loss": cross_entropy(logits, masked.labels),
            "masked_lm_accuracy": right,
            "unigram_loss": -jnp.asarray(self.log_unigram)[masked.labels],
            "unigram_accuracy": masked.labels == int(self.log_unigram.argmax()),
        }
        confidence = jnp.exp(-cross_entropy(logits, guess))
        sums = {"calibration_error": calibration_gaps(confidence, right, masked.valid)}
        if teacher is None:
            return sums | sums_of(values, masked.valid)
        teacher_hidden = teacher.backbone(*inputs).last_hidden
        teacher_logits = teacher.predict_tokens(gather_positions(teacher_hidden, masked.positions))
        values |= {
            "kl_to_teacher": distillation_kl(logits, teacher_logits, 1.0),
            "top1_agreement": guess == jnp.argmax(teacher_logits, axis=-1),
        }
        sums |= sums_of(values, masked.valid)
        if hidden.shape != teacher_hidden.shape:
            return sums
        cosine = 1.0 - cosine_distance(hidden, teacher_hidden)
        return sums | {"hidden_cosine": masked_sum(cosine, batch["attention_mask"])}


def sums_of(values: Mapping[str, Array], where: Bool[Array, "groups k"]) -> Sums:
    """The sum and count of every metric over the predicted tokens."""
    return {name: masked_sum(each.astype(jnp.float32), where) for name, each in values.items()}


def calibration_gaps(
    confidence: Float32[Array, "groups k"],
    right: Bool[Array, "groups k"],
    where: Bool[Array, "groups k"],
) -> tuple[Float32[Array, " bins"], Float32[Array, ""]]:
    """Probability of the first guess minus whether it is right, summed by bins of probability.

    The number of predictions is that of all bins.
    """
    bins = jnp.clip(jnp.ceil(confidence * BINS).astype(jnp.int32) - 1, 0, BINS - 1)
    gaps = jnp.where(where, confidence - right.astype(jnp.float32), 0)
    return jnp.zeros(BINS).at[bins].add(gaps), jnp.sum(where, dtype=jnp.float32)


def means(total: Sums) -> dict[str, float]:
    """The metrics of the sums and counts that `HeldOut.total` added up."""
    whole = dict(total)
    if "calibration_error" in whole:
        gaps, count = whole["calibration_error"]
        whole["calibration_error"] = jnp.sum(jnp.abs(gaps)), count
    each = {name: float(value / count) for name, (value, count) in whole.items()}
    if "masked_lm_loss" in each:
        each["exp_masked_lm_loss"] = math.exp(min(each["masked_lm_loss"], 700.0))
    return each


SumsOf = Callable[[Any, dict[str, Any], DeviceBatch], Sums]
"""From parameters, an objective's constants and a batch to the sums and counts of metrics."""


def held_out(config: TextConfig, data: Data) -> HeldOut:
    """The held-out sequences, evaluated as many at a time as are trained on."""
    return HeldOut(
        data.heldout,
        data.train.counts,
        data.vocabulary.special,
        rows=config.batch_size // config.micro_batches,
        limit=config.heldout_sequences,
    )


def evaluator(
    heldout: HeldOut,
    model: nnx.Module,
    objective: MaskedLMObjective,
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
