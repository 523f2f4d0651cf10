"""Attention without maps is equal to attention with them, and makes none."""

import math
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.blocks import attend, attention
from model.blocks.attention import Attention
from model.blocks.platform import made_for
from tests.small import BERT, build, call
from tests.tiny import difference
from train.loop.memory import memory_needed

MASK = np.arange(12) < np.array([[[12]], [[7]], [[0]]])
CAUSAL = np.tril(np.ones((3, 12, 12), bool)) & MASK
MAPS = ("scores", "attentions")
ARRAY = re.compile(r"tensor<((?:\d+x)+)")


@pytest.fixture(scope="module")
def layer():
    return build(Attention, BERT.replace(attention_dropout=0.1))


@pytest.fixture(scope="module")
def hidden():
    return np.random.default_rng(0).normal(size=(3, 12, 16)).astype(np.float32)


@pytest.fixture
def by_head(monkeypatch):
    """As if the maps were large."""
    monkeypatch.setattr(attend, "LARGE_MAPS", 1)


@pytest.mark.parametrize(
    ("platform", "rate", "outputs", "expected"),
    [
        ("cpu", 0.0, (), "by head"),
        ("cpu", 0.1, ("qkv",), "by head"),
        ("cpu", 0.1, ("scores",), "maps"),
        ("cpu", 0.0, ("attentions",), "maps"),
        ("gpu", 0.0, (), "maps"),
        ("gpu", 0.1, (), "by head"),
        ("tpu", 0.0, (), "maps"),
        ("tpu", 0.1, (), "maps"),
    ],
)
def test_large_maps_are_made_where_they_are_asked_for_or_faster(
    monkeypatch, platform, rate, outputs, expected
):
    calls = []
    for name, way in (("attend", "maps"), ("attend_by_head", "by head")):
        own = getattr(attention, name)
        monkeypatch.setattr(
            attention, name, lambda *a, own=own, way=way: calls.append(way) or own(*a)
        )
    layer = build(Attention, BERT.replace(attention_dropout=rate))
    inputs = jnp.zeros((64, 256, 16)), jnp.ones((64, 1, 256), bool)

    def run():
        return layer(*inputs, outputs=outputs, rngs=nnx.Rngs(dropout=0) if rate else None)

    with made_for(platform):
        jax.eval_shape(run)
    assert calls == [expected]


def test_small_maps_are_made_on_a_cpu(layer, hidden, monkeypatch):
    monkeypatch.setattr(attention, "attend_by_head", None)
    call(layer, hidden, MASK)


@pytest.mark.parametrize("mask", [MASK, CAUSAL])
def test_both_agree_also_where_a_row_is_padding_alone(layer, hidden, by_head, mask):
    context, _ = call(layer, hidden, mask)
    plain, made = call(layer, hidden, mask, outputs=MAPS)
    assert set(made) == set(MAPS)
    assert np.all(np.isfinite(context))
    np.testing.assert_allclose(context, plain, rtol=0, atol=1e-6)


def test_both_agree_on_other_places(layer, hidden, by_head):
    """Of another sequence, as a decoder reads them."""
    source, mask = jnp.asarray(hidden[:, ::-1][:, :7]), jnp.ones((3, 1, 7), bool)
    context, _ = layer(jnp.asarray(hidden), mask, source=source)
    plain, _ = layer(jnp.asarray(hidden), mask, source=source, outputs=MAPS)
    np.testing.assert_allclose(context, plain, rtol=0, atol=1e-6)


def test_both_agree_in_their_gradients(layer, hidden, by_head):
    graphdef, state = nnx.split(layer)
    weights = np.random.default_rng(1).normal(size=hidden.shape).astype(np.float32)

    def gradients(outputs):
        def loss(state, hidden):
            out, _ = nnx.merge(graphdef, state)(hidden, jnp.asarray(MASK), outputs=outputs)
            return jnp.sum(out * weights)

        return jax.jit(jax.grad(loss, argnums=(0, 1)))(state, jnp.asarray(hidden))

    context, plain = map(nnx.to_pure_dict, (gradients(())[0], gradients(MAPS)[0]))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(context))
    assert difference(context, plain) < 1e-6
    assert difference(gradients(())[1], gradients(MAPS)[1]) < 1e-6


def heads_of(seed: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Queries, keys and values of 2 rows, 3 heads and 8 tokens."""
    draw = np.random.default_rng(seed)
    query, key, value = jnp.asarray(draw.normal(size=(3, 2, 3, 8, 4)), jnp.float32)
    return query, key, value


SEEN = jnp.asarray(np.arange(8) < np.array([[[8]], [[5]]]))


def test_each_head_drops_by_a_keyof_its_own():
    qkv, rngs = heads_of(0), partial(nnx.Rngs, dropout=3)
    found = attend.attend_by_head(*qkv, SEEN, 0.5, rngs())
    keys = jax.random.split(rngs().dropout(), 3)
    for head, own in enumerate(keys):
        query, key, value = (array[:, head] for array in qkv)
        expected = attend.attend(query, key, value, SEEN, 0.5, nnx.Rngs(dropout=own)).context
        np.testing.assert_allclose(found[:, head], expected, rtol=0, atol=1e-6)
    without = attend.attend_by_head(*qkv, SEEN)
    assert not np.allclose(found[:, 0], without[:, 0], atol=0.1)


def test_the_gradient_drops_what_the_loss_drops():
    """Maps are computed again for it, by the same keys: against finite differences."""
    qkv, moved = heads_of(0), heads_of(1)

    def loss(query, key, value):
        rngs = nnx.Rngs(dropout=3)
        return jnp.sum(jnp.sin(attend.attend_by_head(query, key, value, SEEN, 0.5, rngs)))

    found = sum(
        float(jnp.vdot(*pair)) for pair in zip(jax.grad(loss, (0, 1, 2))(*qkv), moved, strict=True)
    )
    step = 1e-2
    ends = [loss(*(x + s * d for x, d in zip(qkv, moved, strict=True))) for s in (step, -step)]
    assert found == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=2e-3)


def test_curvature_is_that_of_attention_with_maps():
    qkv, moved = heads_of(0), heads_of(1)

    def curvature(way):
        def loss(*qkv):
            return jnp.sum(jnp.sin(way(*qkv)))

        def gradient(*qkv):
            return jax.grad(loss, (0, 1, 2))(*qkv)

        return jax.jvp(gradient, qkv, moved)

    ours = curvature(lambda q, k, v: attend.attend_by_head(q, k, v, SEEN))
    theirs = curvature(lambda q, k, v: attend.attend(q, k, v, SEEN[:, None]).context)
    assert difference(ours, theirs) < 1e-6


def test_memory_does_not_grow_by_a_map_a_head():
    """Forward and backward, with dropout."""
    mask = jnp.ones((2, 1, 512), bool)

    def loss(query, key, value):
        rngs = nnx.Rngs(dropout=0)
        return jnp.sum(attend.attend_by_head(query, key, value, mask, 0.1, rngs))

    def needed(heads: int) -> int:
        shape = jax.ShapeDtypeStruct((2, heads, 512, 4), jnp.float32)
        step = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
        return memory_needed(step.lower(shape, shape, shape).compile())

    one_map = 2 * 512 * 512 * 4
    assert needed(32) - needed(8) < 4 * one_map  # of 24 more; the heads themselves are one


def test_a_gpu_keeps_no_maps_where_attention_drops():
    """What is lowered for one, forward and backward, has the map of one head at a time."""
    layer = build(Attention, BERT.replace(attention_dropout=0.1, dtype="bfloat16"))
    graphdef, state = nnx.split(layer)
    rows, heads, length = 3, BERT.num_heads, 160

    def loss(state, hidden, mask):
        out, _ = nnx.merge(graphdef, state)(hidden, mask, rngs=nnx.Rngs(dropout=0))
        return jnp.sum(out.astype(jnp.float32))

    hidden = jax.ShapeDtypeStruct((rows, length, BERT.hidden_size), jnp.bfloat16)
    mask = jax.ShapeDtypeStruct((rows, length, length), jnp.bool)
    with made_for("gpu"):
        traced = jax.jit(jax.grad(loss)).trace(state, hidden, mask)
        program = traced.lower(lowering_platforms=("cuda",)).as_text()
    shapes = {tuple(map(int, found.strip("x").split("x"))) for found in ARRAY.findall(program)}
    assert (rows, length, length) in shapes
    assert max(map(math.prod, shapes)) < heads * rows * length**2
