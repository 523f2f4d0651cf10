"""Texts from a masked LM, by the sampler of Wang and Cho 2019.

It begins with [MASK] everywhere, and again and again masks one place and draws a token for it, from
what the model predicts given all others. This is called a sampler and not Gibbs sampling of the
model's distribution of texts: the conditional probabilities of a masked LM are in general not those
of any one joint distribution (the authors' correction; Goyal et al. 2021). What it ends with
depends on the order of places and on how long it runs, too.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Int32, PRNGKeyArray

from data.vocabulary import SpecialIds
from model.decoder.sampling import SamplingConfig, most_probable
from model.tasks import MaskedLM


def sample_masked(
    model: MaskedLM,
    special: SpecialIds,
    suppressed: tuple[int, ...],
    sampling: SamplingConfig,
    *,
    length: int,
    sweeps: int,
    burn_in: int,
    key: PRNGKeyArray,
    numbers: Int[Array, " rows"],
) -> Int32[Array, "rows length"]:
    """A text for each row, without the [CLS] and [SEP] that the model reads around it.

    A sweep draws every place once, in a random order of the row's own. (The authors choose places
    independently, so that some are drawn often and some stay [MASK].) A pure function of arrays, to
    be called under jit; each of its `sweeps * length` steps reads all texts once.

    Args:
        model: predicts tokens from both sides.
        special: of its vocabulary.
        suppressed: tokens that are never drawn, such as all special ones.
        sampling: the probabilities after the burn-in.
        length: tokens of each text.
        sweeps: how often every place is drawn.
        burn_in: the first so many sweeps draw from the model's own probabilities, at temperature 1.
        key: with a row's number it decides what is drawn: not with which others it is drawn.
        numbers: of the rows.
    """
    rows = numbers.shape[0]
    keys = jax.vmap(lambda number: jax.random.split(jax.random.fold_in(key, number)))(numbers)
    order_keys, draw_keys = keys[:, 0], keys[:, 1]
    row = jnp.arange(rows)

    def step(at: Int[Array, ""], ids: Int32[Array, "rows all"]) -> Int32[Array, "rows all"]:
        sweep = at // length

        def place_of(key: PRNGKeyArray) -> Int[Array, ""]:
            return jax.random.permutation(jax.random.fold_in(key, sweep), length)[at % length]

        place = 1 + jax.vmap(place_of)(order_keys)  # behind [CLS]
        ids = ids.at[row, place].set(special.mask)
        hidden = model.backbone(ids).last_hidden[row, place]
        scores = model.predict_tokens(hidden)
        scores = scores.at[:, jnp.array(suppressed, jnp.int32)].set(-jnp.inf)
        later = most_probable(scores / sampling.temperature, sampling.top_p)
        scores = jnp.where(sweep < burn_in, scores, later)
        drawn = jax.vmap(lambda key, row: jax.random.categorical(jax.random.fold_in(key, at), row))
        return ids.at[row, place].set(drawn(draw_keys, scores).astype(jnp.int32))

    ids = jnp.full((rows, length + 2), special.mask, jnp.int32)
    ids = ids.at[:, 0].set(special.cls).at[:, -1].set(special.sep)
    return jax.lax.fori_loop(0, sweeps * length, step, ids)[:, 1:-1]
