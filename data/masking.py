"""Dynamic masking for masked-language modelling, drawn on the device in fixed groups of rows.

The original DistilBERT code (`distiller.py`, `prepare_batch_mlm`) predicts 15 % of the tokens of
one process's micro-batch, drawn by weight and without replacement over all its rows together.
Such a draw changes with the number of devices. Here each group of a few consecutive rows has a
draw and a key of its own. The number of devices and micro-batches then changes nothing, and no
device needs the rows of another.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Int32, PRNGKeyArray

from model.errors import InputError
from model.ranges import Range, Rows, Share, check_settings


@dataclass(frozen=True)
class MaskingConfig:
    """The tokens that are predicted, and their replacements in the input (BERT, section 3.1)."""

    share: Annotated[float, Range(0, 1, above=True)] = 0.15
    """The share of the attended tokens that is predicted."""
    mask: Share = 0.8
    """Of these, the share replaced by [MASK]."""
    keep: Share = 0.1
    """The share left as it is."""
    random: Share = 0.1
    """The share replaced by a token drawn uniformly from the whole vocabulary."""
    smoothing: Annotated[float, Range(0, 10)] = 0.0
    """A token is drawn with weight count ** -smoothing; 0 is uniform, 0.7 is the original's."""
    group_rows: Rows = 8
    """The number of consecutive rows over which one draw is made."""

    def __post_init__(self) -> None:
        check_settings(self, "--masking.")
        if not math.isclose(self.mask + self.keep + self.random, 1):
            raise InputError(
                f"--masking.mask, --masking.keep and --masking.random are {self.mask}, {self.keep} "
                f"and {self.random}: these shares of the predicted tokens must sum to 1"
            )


class Masked(NamedTuple):
    """A masked batch. Of the k slots of a group only those marked `valid` are predictions."""

    input_ids: Int32[Array, "rows length"]
    """The input of the model."""
    positions: Int32[Array, "groups k"]
    """The predicted tokens, as flat indices into the group's group_rows * length tokens."""
    labels: Int32[Array, "groups k"]
    """The original tokens at these positions."""
    valid: Bool[Array, "groups k"]
    """False in slots that a group with padding does not need."""


def token_log_weights(
    counts: Int[np.ndarray, " vocab"], special_ids: Iterable[int], smoothing: float
) -> Float32[np.ndarray, " vocab"]:
    """log(max(count, 1) ** -smoothing) of every token; -inf keeps special tokens undrawn."""
    weights = -smoothing * np.log(np.maximum(counts, 1))
    weights[list(special_ids)] = -np.inf
    return weights.astype(np.float32)


def mask_tokens(
    key: PRNGKeyArray,
    input_ids: Int32[Array, "rows length"],
    attention_mask: Bool[Array, "rows length"],
    row: Int32[Array, " rows"],
    log_weights: Float32[Array, " vocab"],
    *,
    config: MaskingConfig,
    mask_id: int,
) -> Masked:
    """Chooses the tokens to predict and hides them.

    In every group of `config.group_rows` consecutive rows ceil(share * attended tokens) tokens are
    chosen, or all that are not special where these are fewer. k is this number for a full group.
    Groups must not straddle devices or micro-batches: then devices exchange nothing, and the draw
    does not depend on how the batch is divided.

    Args:
        key: a threefry key for (seed, step).
        input_ids: the token ids.
        attention_mask: False at padding, which is neither counted nor chosen.
        row: each row's index in the update's global batch. The key of a group is `key` folded with
            the index of its first row over group_rows.
        log_weights: from `token_log_weights`.
        config: the shares and the size of groups.
        mask_id: the id of [MASK].

    Raises:
        InputError: the rows are no multiple of group_rows.
    """
    rows, length = input_ids.shape
    if rows % config.group_rows:
        raise InputError(
            f"{rows} rows cannot be masked in groups of {config.group_rows}: the rows on each "
            "device must be a multiple of group_rows."
        )
    grouped = rows // config.group_rows, config.group_rows * length

    def mask_group(
        group: Int32[Array, ""], ids: Int32[Array, " tokens"], attended: Bool[Array, " tokens"]
    ) -> tuple[Array, Array, Array, Array]:
        choice, action, replacement = jax.random.split(jax.random.fold_in(key, group), 3)
        positions, valid = _choose(choice, attended, log_weights[ids], config.share)
        labels = ids[positions]
        u = jax.random.uniform(action, labels.shape)
        random = jax.random.randint(replacement, labels.shape, 0, log_weights.size)
        shown = jnp.where(u < config.mask + config.random, random, labels)
        shown = jnp.where(u < config.mask, mask_id, shown)
        shown = jnp.where(valid, shown, labels)
        return ids.at[positions].set(shown, unique_indices=True), positions, labels, valid

    masked, positions, labels, valid = jax.vmap(mask_group)(
        row[:: config.group_rows] // config.group_rows,
        input_ids.reshape(grouped),
        attention_mask.reshape(grouped),
    )
    return Masked(masked.reshape(rows, length), positions, labels, valid)


def _choose(
    key: PRNGKeyArray,
    attended: Bool[Array, " tokens"],
    log_weights: Float32[Array, " tokens"],
    share: float,
) -> tuple[Int32[Array, " k"], Bool[Array, " k"]]:
    """Positions drawn one after another by weight without replacement, and whether each is valid.

    Gumbel top-k: log-weights plus Gumbel noise, in falling order, are distributed like sequential
    draws (Kool et al. 2019, 1903.06059, section 2), and the shape is static.
    """
    # Computed in double precision, as in the original: a float32 product just above a whole number
    # would give one token too many.
    needed = np.ceil(share * np.arange(attended.size + 1)).astype(np.int32)
    k = int(needed[-1])
    eligible = jnp.where(attended, log_weights, -jnp.inf)
    scores = eligible + jax.random.gumbel(key, eligible.shape)
    # A full sort, which XLA keeps on each device; for `top_k` it may gather a sharded batch (on CPU
    # it does).
    positions = jnp.argsort(scores, descending=True)[:k]
    drawn = jnp.arange(k) < jnp.asarray(needed)[jnp.sum(attended)]
    return positions, drawn & (eligible[positions] > -jnp.inf)
