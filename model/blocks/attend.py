"""softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, equation 1), with its maps or without.

A map has a number for each pair of a token and a place. Only one of a head at a time need be there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from model.blocks.layers import dropout
from model.blocks.platform import platform
from model.blocks.products import einsum

LARGE_MAPS = 2**22
"""Numbers in all maps from which on a CPU is faster with one head at a time: 16 MB."""


class Attended(NamedTuple):
    """The results of attention, of one head or of several."""

    context: Float[Array, "batch *heads length head"]
    scores: Float[Array, "batch *heads length places"]
    """Before mask and softmax, float32."""
    attentions: Float[Array, "batch *heads length places"]
    """Probabilities before dropout, float32."""


def attend(
    query: Float[Array, "batch *heads length head"],
    key: Float[Array, "batch *heads places head"],
    value: Float[Array, "batch *heads places head"],
    mask: Bool[Array, "batch *ones #length places"] | None,
    rate: float = 0.0,
    rngs: nnx.Rngs | None = None,
) -> Attended:
    """Attention to the places where `mask` is true, or to all, with a dropout of `rate`."""
    # Scores and softmax are float32 even when the matrix products read bfloat16.
    scores = einsum("...qd,...kd->...qk", query, key, jnp.float32) * query.shape[-1] ** -0.5
    # The smallest float, not -inf: a row that is all padding then gives a mean, not NaN.
    least = jnp.finfo(jnp.float32).min
    attentions = jax.nn.softmax(scores if mask is None else jnp.where(mask, scores, least))
    kept = dropout(attentions, rate, rngs).astype(value.dtype)
    return Attended(einsum("...qk,...kd->...qd", kept, value), scores, attentions)


def attend_by_head(
    query: Float[Array, "batch heads length head"],
    key: Float[Array, "batch heads places head"],
    value: Float[Array, "batch heads places head"],
    mask: Bool[Array, "batch #length places"] | None,
    rate: float = 0.0,
    rngs: nnx.Rngs | None = None,
) -> Float[Array, "batch heads length head"]:
    """The context of `attend`, one head after the other; dropout has a key for each.

    The gradient computes the map of each head again instead of keeping it.
    """
    keys = None if rngs is None or rate == 0.0 else jax.random.split(rngs.dropout(), query.shape[1])

    @jax.checkpoint
    def attend_one(inputs):
        query, key, value, own = inputs
        draws = None if own is None else nnx.Rngs(dropout=own)
        return attend(query, key, value, mask, rate, draws).context

    heads = (jnp.moveaxis(array, 1, 0) for array in (query, key, value))
    return jnp.moveaxis(jax.lax.map(attend_one, (*heads, keys)), 0, 1)


def goes_by_head(
    query: Float[Array, "batch heads length head"],
    key: Float[Array, "batch heads places head"],
    drops: bool,
) -> bool:
    """True if `attend_by_head` is faster where maps are not asked for, or needs less memory.

    XLA for CPUs writes all maps to memory and reads them again. GPUs have FlashAttention for it,
    but not with dropout. TPUs have the memory, and want large products.
    """
    if platform() == "cpu":
        return query[..., 0].size * key.shape[2] >= LARGE_MAPS
    return drops and platform() == "gpu"
