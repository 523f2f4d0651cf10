"""The dense layer's own gradient under every transformation, against JAX's own derivatives."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from model.blocks.layers import dense
from model.blocks.linear_map import linear_map
from tests.tiny import change, difference

ROWS, LENGTH, WIDTH, LAYERS = 4, 3, 5, 2


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


PARAMS = normal(0, LAYERS, WIDTH, WIDTH), normal(1, LAYERS, WIDTH)
DIRECTION = normal(2, LAYERS, WIDTH, WIDTH), normal(3, LAYERS, WIDTH)
X = normal(4, ROWS, LENGTH, WIDTH)


def plain(x, kernel, bias):
    return jnp.einsum("...i,io->...o", x, kernel) + jnp.broadcast_to(bias, (*x.shape[:-1], WIDTH))


def loop(layer, params, x):
    for kernel, bias in zip(*params, strict=True):
        x = jnp.sin(layer(x, kernel, bias))
    return jnp.sum(x * x)


def scanned(layer, params, x):
    def step(x, one):
        return jnp.sin(layer(x, *one)), None

    x, _ = jax.lax.scan(step, x, params)
    return jnp.sum(x * x)


def each_row(layer, params, x):
    return jnp.sum(jax.vmap(partial(loop, layer, params))(x))


def each_model(layer, params, x):
    """Kernels along an axis, and `x` without; along the last one, as JAX may well put it."""
    kernels, biases = params
    stacked = jnp.stack([kernels, 2 * kernels], -1), jnp.stack([biases, 3 * biases])
    return jnp.sum(jax.vmap(partial(loop, layer), in_axes=((-1, 0), None))(stacked, x))


def over_devices(layer, params, x):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    x = jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P("data")))
    return jax.jit(partial(loop, layer))(params, x)


USES = {
    "loop": loop,
    "jit": lambda layer, *given: jax.jit(partial(loop, layer))(*given),
    "scan": scanned,
    "remat": lambda layer, *given: jax.checkpoint(partial(loop, layer))(*given),
    "remat in scan": lambda layer, *given: scanned(jax.checkpoint(layer), *given),
    "vmap over rows": each_row,
    "vmap over models": each_model,
    "devices": over_devices,
}


def derivatives(loss: Callable[[Any], Any]) -> dict[str, Any]:
    """All of first and second order in one direction."""

    def slope(params):
        return jax.jvp(loss, (params,), (DIRECTION,))[1]

    def along(params):
        gradient = jax.grad(loss)(params)
        return sum(jnp.vdot(g, d) for g, d in zip(gradient, DIRECTION, strict=True))

    return {
        "slope": slope(PARAMS),
        "linearised": jax.linearize(loss, PARAMS)[1](DIRECTION),
        "gradient": jax.grad(loss)(PARAMS),
        "forward over reverse": jax.jvp(jax.grad(loss), (PARAMS,), (DIRECTION,))[1],
        "reverse over forward": jax.grad(slope)(PARAMS),
        "reverse over reverse": jax.grad(along)(PARAMS),
        "forward over forward": jax.jvp(slope, (PARAMS,), (DIRECTION,))[1],
    }


@pytest.mark.parametrize("use", USES)
def test_derivatives_are_those_of_the_plain_product(use):
    expected = jax.jit(lambda: derivatives(lambda params: loop(plain, params, X)))()
    if use == "vmap over models":
        expected = jax.jit(lambda: derivatives(lambda params: each_model(plain, params, X)))()
    found = jax.jit(lambda: derivatives(lambda params: USES[use](dense, params, X)))()
    for name, value in found.items():
        assert difference(value, expected[name]) < 1e-5, name


def test_curvature_on_each_device_of_pmap():
    def product(layer, x):
        def gradient(params):
            return jax.grad(partial(loop, layer))(params, x)

        return jax.jvp(gradient, (PARAMS,), (DIRECTION,))[1]

    def on_device(x):
        return jax.lax.psum(product(dense, x), "data")

    found = jax.tree.map(lambda leaf: leaf[0], jax.pmap(on_device, "data")(X[:, None]))
    assert difference(jax.device_get(found), jax.jit(partial(product, plain))(X)) < 1e-5


def test_curvature_is_the_change_of_the_gradient():
    """By central differences: in float32 they have an error of some 1e-4 at this step."""
    gradient = jax.jit(jax.grad(lambda params: loop(dense, params, X)))
    changed = change(gradient, PARAMS, DIRECTION, 1e-2)
    _, found = jax.jit(lambda: jax.jvp(gradient, (PARAMS,), (DIRECTION,)))()
    assert difference(found, changed) < 1e-2


def test_a_hessian_is_symmetric_and_whole():
    bias = PARAMS[1][0]

    def loss(bias):
        return jnp.sum(jnp.sin(dense(X, PARAMS[0][0], bias)))

    hessian = jax.jit(jax.hessian(loss))(bias)
    scores = np.asarray(X, np.float64) @ np.asarray(PARAMS[0][0], np.float64) + np.asarray(bias)
    expected = np.diag(-np.sin(scores).sum((0, 1)))
    np.testing.assert_allclose(hessian, expected, atol=1e-5)


@pytest.mark.parametrize("use", ["loop", "scan", "remat", "vmap over rows"])
def test_in_bfloat16_gradients_of_parameters_are_not_rounded(use):
    """Sums of products of eight bits: float32 holds them, and bfloat16 would lose 2^-9."""
    x, delta = (normal(seed, ROWS, 64, WIDTH).astype(jnp.bfloat16) for seed in (5, 6))

    def loss(params, x, delta):
        kernel, bias = (leaf[0] for leaf in params)
        return jnp.sum(dense(x, kernel, bias).astype(jnp.float32) * delta.astype(jnp.float32))

    def whole(params):
        if use == "scan":
            scan = jax.lax.scan(lambda _, one: (None, loss(params, *one)), None, (x, delta))
            return jnp.sum(scan[1])
        if use == "vmap over rows":
            return jnp.sum(jax.vmap(partial(loss, params))(x, delta))
        return (jax.checkpoint(loss) if use == "remat" else loss)(params, x, delta)

    kernel, bias = jax.jit(jax.grad(whole))(PARAMS)
    inputs, outputs = (np.asarray(a, np.float64) for a in (x, delta))
    np.testing.assert_allclose(kernel[0], np.einsum("abi,abo->io", inputs, outputs), atol=1e-4)
    np.testing.assert_allclose(bias[0], outputs.sum((0, 1)), atol=1e-4)


def test_where_the_named_transpose_does_not_know_a_gradient_jax_makes_it():
    def apply(known, vectors):
        return known * vectors[0], known * vectors[1]

    def transpose(known, cotangents):
        first, second = cotangents
        return (None, None) if second is None else (10 * first, 20 * second)

    def results(vectors):
        return linear_map(apply, transpose, jnp.float32(3), vectors)

    vectors = jnp.float32(1), jnp.float32(1)
    assert jax.grad(lambda v: sum(results(v)))(vectors) == (10, 20)
    assert jax.grad(lambda v: results(v)[0])(vectors) == (3, 0)
