"""Texts drawn at random, token by token, from the probabilities of a decoder."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int, Int32, PRNGKeyArray

from model.blocks.encoder import EncodedText
from model.decoder.beams import check_length, next_scores
from model.decoder.cache import Cache, empty_cache
from model.decoder.causal_lm import CausalLM
from model.decoder.settings import GenerationConfig
from model.ranges import Range, check_settings


@dataclass(frozen=True)
class SamplingConfig:
    """The probabilities that are drawn from.

    Raises:
        InputError: a number is out of its range.
    """

    temperature: Annotated[float, Range(0, 100, above=True)] = 1.0
    """Divides the logits: below 1, probable tokens become more probable."""
    top_p: Annotated[float, Range(0, 1, above=True)] = 1.0
    """Draw only from the most probable tokens whose probabilities reach this sum (Holtzman et al.
    2020, section 3.1)."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="")


class _Drawing(NamedTuple):
    at: Int[Array, ""]
    tokens: Int32[Array, "rows length"]
    ended: Bool[Array, " rows"]
    cache: Cache


def sample(
    model: CausalLM,
    source: EncodedText | None,
    config: GenerationConfig,
    sampling: SamplingConfig,
    key: PRNGKeyArray,
    numbers: Int[Array, " rows"],
) -> Int32[Array, "rows length"]:
    """A text for each row, without the start; with the end, and padding behind it.

    A pure function of arrays, to be called under jit.

    Args:
        model: the decoder.
        source: what it reads besides, if it `crosses`.
        config: the tokens around a text, and its most tokens.
        sampling: the probabilities.
        key: with a row's number it decides what is drawn: not with which others it is drawn.
        numbers: of the rows.

    Raises:
        InputError: texts may be longer than the positions of the model.
    """
    check_length(model, config)
    rows, length = numbers.shape[0], config.max_new_tokens
    keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
    drawing = _Drawing(
        jnp.zeros((), jnp.int32),
        jnp.full((rows, length), config.pad, jnp.int32),
        jnp.zeros(rows, bool),
        empty_cache(model, source, rows=rows, beams=1, length=length),
    )

    def step(drawing: _Drawing) -> _Drawing:
        at, tokens, ended, cache = drawing
        last = jax.lax.dynamic_index_in_dim(tokens, jnp.maximum(at - 1, 0), 1, keepdims=True)
        last = jnp.where(at == 0, config.start, last)
        sees = jnp.broadcast_to(jnp.arange(length)[:, None] <= at, (rows, 1, length, 1))
        scores, cache = next_scores(model, cache, last, at, sees, config.suppressed)
        scores = most_probable(scores[:, 0] / sampling.temperature, sampling.top_p)
        drawn = jax.vmap(lambda key, row: jax.random.categorical(jax.random.fold_in(key, at), row))
        token = jnp.where(ended, config.pad, drawn(keys, scores).astype(jnp.int32))
        return _Drawing(at + 1, tokens.at[:, at].set(token), ended | (token == config.end), cache)

    def unfinished(drawing: _Drawing) -> Bool[Array, ""]:
        return (drawing.at < length) & ~jnp.all(drawing.ended)

    return jax.lax.while_loop(unfinished, step, drawing).tokens


def most_probable(
    scores: Float32[Array, "rows vocab"], share: float
) -> Float32[Array, "rows vocab"]:
    """The scores of the most probable tokens whose probabilities reach `share`; else -inf.

    A token is kept if those that are more probable do not reach it: the first one always is.
    """
    if share == 1.0:
        return scores
    ordered = jnp.sort(scores, axis=-1, descending=True)
    probabilities = jax.nn.softmax(ordered)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    least = jnp.min(jnp.where(before < share, ordered, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(scores < least, -jnp.inf, scores)
