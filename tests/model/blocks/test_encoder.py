"""Activation checkpointing changes only the memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.blocks.encoder import Encoder
from tests.small import BERT, build
from tests.tiny import difference
from train.update.parallel import KEEP_BARRIERS

CONFIG = BERT.replace(hidden_dropout=0.2, attention_dropout=0.2)
HIDDEN = np.random.default_rng(0).normal(size=(3, 12, 16)).astype(np.float32)
KEY = jax.random.key(7, impl="rbg")
MASK = jnp.arange(12)[None, None] < jnp.array([[[12]], [[7]], [[1]]])


def compiled(encoder, hidden, mask, *, remat, outputs=()):
    """Loss and gradient with dropout, as one program."""
    encoder.remat = remat
    graphdef, state = nnx.split(encoder)

    def loss(state, hidden, key):
        rngs = nnx.Rngs(dropout=key)
        out, extras = nnx.merge(graphdef, state)(hidden, mask, outputs=outputs, rngs=rngs)
        extra = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(extras))
        # A random number after the layers: remat must count as many as are drawn.
        return jnp.sum(jnp.sin(out) ** 2) + extra + jax.random.uniform(rngs.dropout())

    run = jax.jit(jax.value_and_grad(loss))
    return run.lower(state, hidden, KEY).compile(KEEP_BARRIERS), state


@pytest.mark.long
@pytest.mark.parametrize("outputs", [(), ("hidden_states", "attentions", "qkv")], ids=str)
def test_loss_and_gradient_are_the_same_with_dropout(outputs):
    encoder = build(Encoder, CONFIG)
    results = []
    for remat in (False, True):
        run, state = compiled(encoder, HIDDEN, MASK, remat=remat, outputs=outputs)
        loss, gradients = run(state, HIDDEN, KEY)
        results.append((float(loss), nnx.to_pure_dict(gradients)))
    (loss, gradients), (again, recomputed) = results
    assert again == pytest.approx(loss, rel=1e-6)
    assert difference(recomputed, gradients) < 1e-6
