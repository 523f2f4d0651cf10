"""A decoder one token at a time: keys and values of the tokens so far, in arrays of one shape.

The texts that are written side by side for one row of a batch, its beams, are the queries of that
row. All their tokens are places of the same source, and a mask tells whose they are. When beams are
reordered, then, only this mask changes and no keys are copied; and what a row reads besides is
stored once for all its beams.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from model.blocks.attention import Attention, KeysValues
from model.blocks.encoder import EncodedText
from model.decoder.causal_lm import CausalLM


class Cache(NamedTuple):
    """All that a decoder keeps between two tokens."""

    known: tuple[KeysValues, ...]
    """Of every layer, [rows, length * beams, heads, head]: the beams of position 0, of 1, ..."""
    sources: tuple[EncodedText | None, ...]
    """Of every layer that crosses, made once."""


def empty_cache(
    model: CausalLM, source: EncodedText | None, *, rows: int, beams: int, length: int
) -> Cache:
    """The cache for texts of up to `length` tokens of `model`, which may read a source."""
    config = model.config
    shape = rows, length * beams, config.num_heads, config.head_size
    zeros = KeysValues(jnp.zeros(shape, config.dtype), jnp.zeros(shape, config.dtype))
    layers = list(model.backbone.encoder.layers)
    return Cache(
        tuple(zeros for _ in layers),
        tuple(_read(layer.cross_attention, source) for layer in layers),
    )


def _read(attention: Attention | None, source: EncodedText | None) -> EncodedText | None:
    if attention is None or source is None:
        return None
    assert not isinstance(source.states, KeysValues)
    return source._replace(states=attention.keys_values(source.states))


def next_hidden(
    model: CausalLM,
    cache: Cache,
    tokens: Int[Array, "rows beams"],
    at: Int[Array, ""],
    sees: Bool[Array, "rows beams length beams"],
) -> tuple[Float[Array, "rows beams hidden"], Cache]:
    """The last hidden states of the tokens at position `at`, and the cache with these tokens.

    Args:
        model: the decoder.
        cache: of the tokens before.
        tokens: of every beam.
        at: their position, from 0.
        sees: for each beam, the positions of which beams hold its own text up to `at`.
    """
    rows, beams = tokens.shape
    hidden = model.backbone.embeddings(tokens, positions=jnp.broadcast_to(at, (1, beams)))
    mask = sees.reshape(rows, beams, -1)
    known = []
    for layer, before, source in zip(
        model.backbone.encoder.layers, cache.known, cache.sources, strict=True
    ):
        new = layer.attention.keys_values(hidden)
        now = KeysValues(*(_put(new, old, at) for new, old in zip(new, before, strict=True)))
        hidden, _ = layer(hidden, mask, known=now, source=source)
        known.append(now)
    return hidden, cache._replace(known=tuple(known))


def _put(new: Array, old: Array, at: Int[Array, ""]) -> Array:
    """`old` with the beams of the position `at`."""
    return jax.lax.dynamic_update_slice_in_dim(old, new, at * new.shape[1], axis=1)
