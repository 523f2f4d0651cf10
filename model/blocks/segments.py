"""Several texts in one row, of which none sees another.

`segments` numbers the texts of a row, 1, 2, 3 and so on; padding is 0.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def text_positions(segments: Int[Array, "batch length"]) -> Int[Array, "batch length"]:
    """The position of every token in its own text, from 0."""
    place = jnp.arange(segments.shape[1], dtype=segments.dtype)[None]
    opens = jnp.diff(segments, axis=1, prepend=-1) != 0
    return place - jax.lax.cummax(jnp.where(opens, place, 0), axis=1)


def same_text(segments: Int[Array, "batch length"]) -> Bool[Array, "batch length length"]:
    """A mask by blocks: every token sees those of its own text, and padding sees padding."""
    return segments[:, :, None] == segments[:, None, :]
