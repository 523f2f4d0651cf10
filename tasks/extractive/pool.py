"""One score for a sentence, from those of its tokens."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from model.blocks.products import einsum


def mean_of_sentences(
    values: Float[Array, "rows length classes"], sizes: Int[Array, "rows length"]
) -> Float[Array, "rows length classes"]:
    """At the first token of each sentence the mean over its tokens, of which there are `sizes`.

    0 at all others, whose sizes are 0.
    """
    token = jnp.arange(sizes.shape[1])
    offset = token[None, None, :] - token[None, :, None]  # [1, first tokens, tokens]
    inside = (offset >= 0) & (offset < sizes[..., None])
    sums = einsum("rst,rtc->rsc", inside.astype(values.dtype), values, values.dtype)
    return sums / jnp.maximum(sizes, 1)[..., None].astype(values.dtype)
