"""The metrics of a language model on held-out text: the common part of masked and causal ones."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from data.batches import heldout_batches
from data.masking import token_log_weights
from data.sequences import Sequences
from data.vocabulary import SpecialIds
from model.tasks import LanguageModel
from train.command.signals import heeding
from train.objectives.losses import cosine_distance, cross_entropy, distillation_kl, masked_sum
from train.objectives.vocabulary import CHUNK

BINS = 15
EXPONENTIALS = {"masked_lm_loss": "exp_masked_lm_loss", "next_token_loss": "perplexity"}

Sums = dict[str, tuple[Float32[Array, "*bins"], Float32[Array, ""]]]


class PredictedTokens(NamedTuple):
    """The tokens of a batch that a model has to predict."""

    input_ids: Int[Array, "rows length"]
    """The text as the model reads it."""
    labels: Int[Array, "rows k"]
    where: Bool[Array, "rows k"]
    """True where there is such a token."""
    states: Callable[[Float[Array, "rows length hidden"]], Float[Array, "rows k hidden"]]
    """Of all hidden states those that predict the tokens."""


class HeldOutText:
    """Held-out sequences, and how well their tokens are predicted.

    Metrics are means over all predicted tokens (`hidden_cosine`: over all attended tokens); the
    last batch is filled up with rows that do not count.

    NAME_loss, NAME_accuracy: cross-entropy in nats, and share of right first guesses.
    unigram_loss, unigram_accuracy: the floor, a model that knows only how often tokens occur in the
        training text (add-one smoothed) and always guesses the most frequent.
    calibration_error: how far the probabilities of first guesses are from how often these are
        right, as the expected calibration error over 15 bins (Guo et al. 2017, equation 3).
    kl_to_teacher, top1_agreement: KL(teacher || student) at temperature 1, and the share of tokens
        where both guess the same.
    hidden_cosine: the cosine of the last hidden states, where both are equally wide.
    """

    name: ClassVar[str]
    """The beginning of the names of its metrics."""

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

    def ask(self, batch: dict[str, Any]) -> PredictedTokens:
        """The tokens to predict in a batch of `heldout_batches`."""
        raise NotImplementedError

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
        models: list[LanguageModel] = [nnx.merge(student_graphdef, params)]
        if teacher_graphdef is not None:
            models.append(nnx.merge(teacher_graphdef, teacher_params))
        asked, attended = self.ask(batch), batch["attention_mask"]
        hidden = [model.backbone(asked.input_ids, attended).last_hidden for model in models]

        def part(chunk: tuple[list[Array], Array, Array]) -> Sums:
            states, labels, where = chunk
            logits = [model.predict_tokens(h) for model, h in zip(models, states, strict=True)]
            return self._sums(logits, labels, where)

        # A few tokens of each row at a time: the scores of all would fill the memory.
        chunks = _chunks([asked.states(each) for each in hidden], asked.labels, asked.where)
        sums = jax.tree.map(lambda each: jnp.sum(each, axis=0), jax.lax.map(part, chunks))
        if teacher_graphdef is None or hidden[0].shape != hidden[1].shape:
            return sums
        cosine = 1.0 - cosine_distance(*hidden)
        return sums | {"hidden_cosine": masked_sum(cosine, attended)}

    def _sums(self, logits: list[Array], labels: Array, where: Array) -> Sums:
        """The metrics of some tokens, of the student's scores and, if there is one, a teacher's."""
        guess, *others = (jnp.argmax(each, axis=-1) for each in logits)
        right = guess == labels
        values = {
            f"{self.name}_loss": cross_entropy(logits[0], labels),
            f"{self.name}_accuracy": right,
            "unigram_loss": -jnp.asarray(self.log_unigram)[labels],
            "unigram_accuracy": labels == int(self.log_unigram.argmax()),
        }
        if others:
            values |= {
                "kl_to_teacher": distillation_kl(logits[0], logits[1], 1.0),
                "top1_agreement": guess == others[0],
            }
        confidence = jnp.exp(-cross_entropy(logits[0], guess))
        return {
            "calibration_error": calibration_gaps(confidence, right, where),
            **{name: masked_sum(each.astype(jnp.float32), where) for name, each in values.items()},
        }


def _chunks(states: list[Array], labels: Array, where: Array) -> tuple[list[Array], Array, Array]:
    """The same as [chunks, rows, tokens, ...]; what fills up the last one does not count."""
    tokens = labels.shape[1]
    count = -(-tokens // CHUNK)
    size = -(-tokens // count)

    def split(array: Array) -> Array:
        filled = jnp.pad(array, [(0, 0), (0, count * size - tokens)] + [(0, 0)] * (array.ndim - 2))
        return jnp.moveaxis(filled.reshape(len(array), count, size, *array.shape[2:]), 1, 0)

    return jax.tree.map(split, (states, labels, where))


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


def means(total: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of the sums and counts that `HeldOutText.total` added up."""
    whole = dict(total)
    if "calibration_error" in whole:
        gaps, count = whole["calibration_error"]
        whole["calibration_error"] = jnp.sum(jnp.abs(gaps)), count
    each = {name: float(value / count) for name, (value, count) in whole.items()}
    for loss, name in EXPONENTIALS.items():
        if loss in each:
            each[name] = math.exp(min(each[loss], 700.0))
    return each
