"""Attention without maps is equal to attention with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.blocks.attention import Attention
from tests.small import BERT, build, call
from tests.tiny import difference

MASK = np.arange(12) < np.array([[[12]], [[7]], [[0]]])
MAPS = ("scores", "attentions")


@pytest.fixture(scope="module")
def attention():
    return build(Attention, BERT.replace(attention_dropout=0.1))


@pytest.fixture(scope="module")
def hidden():
    return np.random.default_rng(0).normal(size=(3, 12, 16)).astype(np.float32)


@pytest.mark.parametrize(
    ("outputs", "rate", "dropout", "fused"),
    [
        ((), 0.1, False, True),
        (("hidden_states", "qkv"), 0.1, False, True),
        ((), 0.0, True, True),
        ((), 0.1, True, False),
        (("scores",), 0.0, False, False),
        (("attentions",), 0.1, False, False),
    ],
)
def test_maps_are_made_only_where_they_are_asked_for_or_dropped(
    monkeypatch, outputs, rate, dropout, fused
):
    calls = []
    of_jax = jax.nn.dot_product_attention
    monkeypatch.setattr(
        jax.nn, "dot_product_attention", lambda *a, **k: calls.append(k) or of_jax(*a, **k)
    )
    attention = build(Attention, BERT.replace(attention_dropout=rate))
    inputs = jnp.zeros((3, 12, 16)), jnp.ones((3, 1, 12), bool)

    def run():
        return attention(*inputs, outputs=outputs, rngs=nnx.Rngs(dropout=0) if dropout else None)

    jax.eval_shape(run)
    assert bool(calls) is fused


def test_both_agree_also_where_a_row_is_padding_alone(attention, hidden):
    fused, _ = call(attention, hidden, MASK)
    plain, made = call(attention, hidden, MASK, outputs=MAPS)
    assert set(made) == set(MAPS)
    assert np.all(np.isfinite(fused))
    np.testing.assert_allclose(fused, plain, rtol=0, atol=1e-5)


def test_both_agree_in_their_gradients(attention, hidden):
    graphdef, state = nnx.split(attention)
    weights = np.random.default_rng(1).normal(size=hidden.shape).astype(np.float32)

    def gradients(outputs):
        def loss(state, hidden):
            out, _ = nnx.merge(graphdef, state)(hidden, jnp.asarray(MASK), outputs=outputs)
            return jnp.sum(out * weights)

        return jax.jit(jax.grad(loss, argnums=(0, 1)))(state, jnp.asarray(hidden))

    fused, plain = map(nnx.to_pure_dict, (gradients(())[0], gradients(MAPS)[0]))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(fused))
    assert difference(fused, plain) < 1e-6
    assert difference(gradients(())[1], gradients(MAPS)[1]) < 1e-6
