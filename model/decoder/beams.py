"""Beam search, in arrays of one shape: the texts of high probability, and with one beam greedily.

Rules and scores are those of transformers' `generate(num_beams=..., early_stopping=True)`: of every
row the best 2 k continuations of its k texts are looked at; one of the first k that ends is
finished, and the best k others go on. A row is done when k texts are finished. A finished text's
score is its log-probability, divided by a power of its length (Wu et al. 2016, section 7, have
another such division).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int, Int32

from model.blocks.encoder import EncodedText
from model.decoder.cache import Cache, empty_cache, next_hidden
from model.decoder.causal_lm import CausalLM
from model.decoder.settings import GenerationConfig
from model.errors import InputError


class WrittenTexts(NamedTuple):
    """Texts with their scores, the best of a row first."""

    tokens: Int32[Array, "rows texts length"]
    """Without the start; with the end, and padding behind it."""
    scores: Float32[Array, "rows texts"]


class _Search(NamedTuple):
    at: Int[Array, ""]
    """The position of the tokens that were chosen last."""
    running: WrittenTexts
    finished: WrittenTexts
    """Those that are not there yet have the score -inf."""
    owner: Int32[Array, "rows beams length"]
    """The beam whose place in the cache holds a running text's token, by position."""
    cache: Cache


def beam_search(
    model: CausalLM, source: EncodedText | None, config: GenerationConfig, *, rows: int
) -> WrittenTexts:
    """The best `config.beams` texts that follow the start token, in every row.

    A pure function of arrays, to be called under jit.

    Args:
        model: the decoder.
        source: what it reads besides, if it `crosses`.
        config: the tokens around a text, and the settings of the search.
        rows: searches at the same time, as many as the source has.

    Raises:
        InputError: texts may be longer than the positions of the model, or there are more beams
            than tokens to begin with.
    """
    check_search(model, config)
    beams, length = config.beams, config.max_new_tokens
    nothing = jnp.full((rows, beams, length), config.pad, jnp.int32)
    # All beams begin alike: only the first one counts.
    first = jnp.where(jnp.arange(beams) == 0, 0.0, -jnp.inf)
    search = _Search(
        jnp.zeros((), jnp.int32),
        WrittenTexts(nothing, jnp.broadcast_to(first, (rows, beams))),
        WrittenTexts(nothing, jnp.full((rows, beams), -jnp.inf)),
        jnp.zeros((rows, beams, length), jnp.int32),
        empty_cache(model, source, rows=rows, beams=beams, length=length),
    )

    def unfinished(search: _Search) -> Bool[Array, ""]:
        return (search.at < length) & jnp.any(search.finished.scores[:, -1] == -jnp.inf)

    return jax.lax.while_loop(unfinished, lambda search: _step(model, config, search), search)[2]


def check_search(model: CausalLM, config: GenerationConfig) -> None:
    """Raises InputError for a search that the model does not have room for."""
    check_length(model, config)
    tokens = model.config.vocab_size - len({*config.suppressed})
    if 2 * config.beams > tokens:
        raise InputError(
            f"{config.beams} beams need twice as many tokens to choose from, and the vocabulary "
            f"has {tokens} that may be written: search with at most {max(tokens // 2, 1)}"
        )


def check_length(model: CausalLM, config: GenerationConfig) -> None:
    """Raises InputError for texts that are longer than the positions of the model."""
    if config.max_new_tokens > model.config.max_positions:
        raise InputError(
            f"texts of up to {config.max_new_tokens} tokens are longer than the "
            f"{model.config.max_positions} positions of the decoder: ask for fewer tokens"
        )


def next_scores(
    model: CausalLM,
    cache: Cache,
    tokens: Int32[Array, "rows beams"],
    at: Int[Array, ""],
    sees: Bool[Array, "rows beams length beams"],
    suppressed: tuple[int, ...],
) -> tuple[Float32[Array, "rows beams vocab"], Cache]:
    """The log-probabilities of the next token, -inf for those that are suppressed.

    As in transformers, the probabilities of the others do not grow for that. The arguments are
    those of `next_hidden`.
    """
    hidden, cache = next_hidden(model, cache, tokens, at, sees)
    scores = jax.nn.log_softmax(model.predict_tokens(hidden))
    return scores.at[..., jnp.array(suppressed, jnp.int32)].set(-jnp.inf), cache


def _step(model: CausalLM, config: GenerationConfig, search: _Search) -> _Search:
    """One more token for each running text."""
    at, running, finished, owner, cache = search
    rows, beams, length = running.tokens.shape
    last = jax.lax.dynamic_index_in_dim(running.tokens, jnp.maximum(at - 1, 0), 2, keepdims=False)
    last = jnp.where(at == 0, config.start, last)
    owner = owner.at[:, :, at].set(jnp.broadcast_to(jnp.arange(beams), (rows, beams)))
    sees = owner[..., None] == jnp.arange(beams)[None, None, None]
    sees = sees & (jnp.arange(length) <= at)[None, None, :, None]
    scores, cache = next_scores(model, cache, last, at, sees, config.suppressed)

    # Of each beam first, and then of the row: fewer numbers to sort.
    best, token = jax.lax.top_k(running.scores[..., None] + scores, 2 * beams)
    best, index = jax.lax.top_k(best.reshape(rows, -1), 2 * beams)
    token = jnp.take_along_axis(token.reshape(rows, -1), index, axis=1)
    parent = index // (2 * beams)
    texts = jnp.take_along_axis(running.tokens, parent[..., None], axis=1).at[:, :, at].set(token)

    ends = (token == config.end) | (at + 1 == length)
    full = finished.scores[:, -1:] > -jnp.inf
    among_first = jnp.arange(2 * beams)[None] < beams
    penalty = (at + 1).astype(jnp.float32) ** config.length_penalty
    ended = WrittenTexts(texts, jnp.where(ends & among_first & ~full, best / penalty, -jnp.inf))
    joined = (jnp.concatenate(pair, axis=1) for pair in zip(finished, ended, strict=True))
    finished, _ = _best(WrittenTexts(*joined), beams)
    running, kept = _best(WrittenTexts(texts, jnp.where(ends, -jnp.inf, best)), beams)
    parent = jnp.take_along_axis(parent, kept, axis=1)
    owner = jnp.take_along_axis(owner, parent[..., None], axis=1)
    return _Search(at + 1, running, finished, owner, cache)


def _best(texts: WrittenTexts, beams: int) -> tuple[WrittenTexts, Int32[Array, "rows beams"]]:
    """The texts of the highest scores, and their places."""
    scores, kept = jax.lax.top_k(texts.scores, beams)
    return WrittenTexts(jnp.take_along_axis(texts.tokens, kept[..., None], axis=1), scores), kept
