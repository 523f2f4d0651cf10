"""Predictions of masked tokens: agreement, divergence, and how well probabilities are calibrated.

All are at temperature 1, over the tokens that `HeldOut` masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float

from model.tasks import MaskedLM
from tasks.score import half_widths
from train.command.signals import heeding
from train.loop.heldout import HeldOut
from train.loop.heldout_text import BINS
from train.objectives.losses import cross_entropy, distillation_kl

ROLES = ("model", "teacher")


@dataclass(frozen=True)
class PredictedValues:
    """Values of each predicted token, by name, and the sequence that it is in."""

    values: dict[str, np.ndarray]
    sequence: np.ndarray

    def metrics(self, sequences: Sequence[int] | None = None) -> dict[str, float]:
        """The metrics over all tokens, or over those of some sequences.

        agreement: the share of tokens where both models guess the same.
        agreement_where_wrong, agreement_where_right: of the tokens where the teacher errs, or not.
        kl: KL(teacher || student), in nats.
        ROLE_accuracy, ROLE_nll, ROLE_brier: of the model and its teacher; the Brier score is the
            sum over the vocabulary of (probability - 1 or 0)^2, from 0 to 2.
        ROLE_ece: `equal_mass_ece` of first guesses.
        """
        kept = slice(None) if sequences is None else np.isin(self.sequence, sequences)
        values = {name: array[kept] for name, array in self.values.items()}
        same, right = values["same"], values["teacher_right"]
        metrics = {
            "agreement": same.mean(),
            "agreement_where_wrong": same[~right].mean() if not right.all() else np.nan,
            "agreement_where_right": same[right].mean() if right.any() else np.nan,
            "kl": values["kl"].mean(),
        }
        for role in ROLES:
            metrics |= {
                f"{role}_accuracy": values[f"{role}_right"].mean(),
                f"{role}_nll": values[f"{role}_nll"].mean(),
                f"{role}_brier": values[f"{role}_brier"].mean(),
                f"{role}_ece": equal_mass_ece(
                    values[f"{role}_confidence"], values[f"{role}_right"]
                ),
            }
        return {name: float(value) for name, value in metrics.items() if np.isfinite(value)}

    def intervals(self) -> dict[str, float]:
        """Half the 95 % interval of each metric over sequences, which are taken as independent.

        From the jackknife; a calibration error has none, because it is biased upwards by noise and
        the jackknife would not know it.
        """
        names = np.unique(self.sequence)
        halves = half_widths(lambda places: self.metrics(names[places].tolist()), len(names))
        return {name: half for name, half in halves.items() if not name.endswith("_ece")}


def predicted_values(heldout: HeldOut, student: MaskedLM, teacher: MaskedLM) -> PredictedValues:
    """The predictions of both models for the held-out masked tokens."""
    structures, params = zip(*(nnx.split(model) for model in (student, teacher)), strict=True)

    @jax.jit
    def read(params: Any, batch: dict[str, Any]) -> tuple[dict[str, jax.Array], jax.Array]:
        models: list[MaskedLM] = [
            nnx.merge(structure, each) for structure, each in zip(structures, params, strict=True)
        ]
        asked = heldout.ask(batch)
        attended = batch["attention_mask"]
        states = [
            asked.states(model.backbone(asked.input_ids, attended).last_hidden) for model in models
        ]

        def row(given: tuple[list[jax.Array], jax.Array]) -> dict[str, jax.Array]:
            hidden, labels = given
            logits = [
                model.predict_tokens(each[None])[0]
                for model, each in zip(models, hidden, strict=True)
            ]
            return values_of(logits[0], logits[1], labels)

        # A row at a time: the scores of all tokens over the vocabulary would fill the memory.
        return jax.lax.map(row, (states, asked.labels)), asked.where

    parts: list[dict[str, np.ndarray]] = []
    sequences = []
    for batch in heldout.batches():
        values, where = jax.device_get(heeding(read)(params, batch))
        parts.append({name: array[where] for name, array in values.items()})
        sequences.append(np.broadcast_to(batch["row"][:, None], where.shape)[where])
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return PredictedValues(joined, np.concatenate(sequences))


def values_of(student: jax.Array, teacher: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """The values of each token, from logits [tokens, vocabulary] and the tokens themselves."""
    guesses = {}
    values = {"kl": distillation_kl(student, teacher, 1.0)}
    for role, logits in zip(ROLES, (student, teacher), strict=True):
        guess, nll = jnp.argmax(logits, axis=-1), cross_entropy(logits, labels)
        squares = jnp.sum(jnp.square(jax.nn.softmax(logits.astype(jnp.float32))), axis=-1)
        guesses[role] = guess
        values |= {
            f"{role}_right": guess == labels,
            f"{role}_confidence": jnp.exp(-cross_entropy(logits, guess)),
            f"{role}_nll": nll,
            # Sum over c of (p_c - y_c)^2, with y_c = 1 for the label alone.
            f"{role}_brier": squares - 2 * jnp.exp(-nll) + 1,
        }
    return values | {"same": guesses["model"] == guesses["teacher"]}


def equal_mass_ece(
    confidence: Float[np.ndarray, " tokens"], right: Bool[np.ndarray, " tokens"], bins: int = BINS
) -> float:
    """The expected calibration error of first guesses, over bins of equally many tokens.

    Sum over bins of |mean confidence - accuracy|, each times its share of the tokens (Guo et al.
    2017, equation 3, with the bins of Nixon et al. 2019, section 3.2).
    """
    gaps = (confidence.astype(np.float64) - right)[np.argsort(confidence, kind="stable")]
    return sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(gaps)
