"""Several texts in one row, of which none sees another.

`segments` numbers the texts of a row, 1, 2, 3 and so on; padding is 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class Blocks(NamedTuple):
    """A mask by texts, and the numbers that it is made of."""

    pairs: Bool[Array, "batch length length"]
    segments: Int[Array, "batch length"]


AttentionMask = Bool[Array, "batch #length places"] | Blocks | None
"""The places that each token sees, or that all of them see; without one every place."""


def pairs_of(mask: AttentionMask) -> Bool[Array, "batch #length places"] | None:
    """The mask as an array."""
    return mask.pairs if isinstance(mask, Blocks) else mask


def blocks(segments: Int[Array, "batch length"]) -> Blocks:
    """The mask by texts: every token sees those of its own text."""
    return Blocks(same_text(segments), segments)


def text_positions(segments: Int[Array, "batch length"]) -> Int[Array, "batch length"]:
    """The position of every token in its own text, from 0."""
    place = jnp.arange(segments.shape[1], dtype=segments.dtype)[None]
    return place - jax.lax.cummax(jnp.where(_opens(segments), place, 0), axis=1)


def same_text(segments: Int[Array, "batch length"]) -> Bool[Array, "batch length length"]:
    """A mask by blocks: every token sees those of its own text, and padding sees padding."""
    return segments[:, :, None] == segments[:, None, :]


def starts_lengths(
    segments: Int[Array, "batch length"], room: int
) -> tuple[Int[Array, "batch room"], Int[Array, "batch room"]]:
    """The starts and lengths of the first `room` texts of every row, -1 where it has fewer.

    Padding is one more text.
    """
    number = jnp.cumsum(_opens(segments), axis=1, dtype=jnp.int32)
    of_text = number[:, :, None] == jnp.arange(1, room + 1)[None, None]
    lengths = jnp.sum(of_text, axis=1, dtype=jnp.int32)
    starts = jnp.cumsum(lengths, axis=1, dtype=jnp.int32) - lengths
    return jnp.where(lengths > 0, starts, -1), jnp.where(lengths > 0, lengths, -1)


def _opens(segments: Int[Array, "batch length"]) -> Bool[Array, "batch length"]:
    return jnp.diff(segments, axis=1, prepend=-1) != 0
