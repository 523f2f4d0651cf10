"""Hidden states of a model at chosen tokens of a text, layer by layer."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float32, Int

from train.command.signals import heeding
from train.loop.heldout import HeldOut

States = Float32[np.ndarray, "layers tokens hidden"]
"""The embeddings come first."""
FIXED_SEED = 0


class ChosenTokens(NamedTuple):
    """A batch, and those of its tokens that are looked at."""

    input_ids: Int[np.ndarray, "rows length"]
    attention_mask: Bool[np.ndarray, "rows length"]
    where: Bool[np.ndarray, "rows length"]


def choose_tokens(heldout: HeldOut, count: int) -> Iterator[ChosenTokens]:
    """About `count` tokens of held-out text, unmasked, without [CLS] and the like; always the same.

    As few as possible of each sequence: tokens of one text are alike.
    """
    random = np.random.default_rng(FIXED_SEED)
    each = -(-count // min(len(heldout.sequences), heldout.limit or count))
    left = count
    for batch in heldout.batches():
        ids, mask = batch["input_ids"], batch["attention_mask"]
        order = random.random(ids.shape)
        order[~mask | np.isin(ids, list(heldout.special))] = 2.0
        rank = np.argsort(np.argsort(order, axis=1), axis=1)
        where = (rank < each) & (order < 2.0)
        where[(np.cumsum(where) > left).reshape(where.shape)] = False
        left -= int(where.sum())
        yield ChosenTokens(ids, mask, where)


def token_states(model: Any, tokens: Iterable[ChosenTokens]) -> States:
    """The embeddings and each layer's hidden states at the chosen tokens, in their order."""
    structure, params = nnx.split(model.backbone)

    @jax.jit
    def read(params: Any, ids: jax.Array, mask: jax.Array) -> jax.Array:
        output = nnx.merge(structure, params)(ids, mask, outputs=("hidden_states",))
        return jnp.stack(output.hidden_states)

    parts = [
        jax.device_get(heeding(read)(params, each.input_ids, each.attention_mask))[:, each.where]
        for each in tokens
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
