import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.blocks.layers import LayerNorm, dense, dropout, gelu, linear
from tests.small import BERT, build


def normalised(x: np.ndarray, epsilon: float) -> np.ndarray:
    """LayerNorm in float64, with scale 1 and bias 0."""
    x = x.astype(np.float64)
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + epsilon)


def test_layer_norm_of_values_far_from_zero() -> None:
    # E[x^2] - E[x]^2 in float32 would give a variance of 0, and then anything.
    x = np.random.default_rng(0).normal(30, 0.01, (5, 768)).astype(np.float32)
    norm = LayerNorm(BERT.replace(hidden_size=768), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(norm(jnp.asarray(x)), normalised(x, 1e-12), rtol=0, atol=1e-3)


@pytest.mark.parametrize("epsilon", [1e-12, 1e-5])
def test_layer_norm_has_the_epsilon_of_the_configuration(epsilon: float) -> None:
    x = np.random.default_rng(0).normal(0, 1e-3, (5, 16)).astype(np.float32)
    norm = LayerNorm(BERT.replace(layer_norm_eps=epsilon), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(norm(jnp.asarray(x)), normalised(x, epsilon), rtol=0, atol=1e-5)


def test_layer_norm_reads_bfloat16_and_computes_in_float32() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(3, 1, (5, 16)), jnp.bfloat16)
    norm = build(LayerNorm, BERT)
    assert norm(x).dtype == jnp.bfloat16
    assert np.array_equal(norm(x), norm(x.astype(jnp.float32)).astype(jnp.bfloat16))


def test_gelu_is_by_the_error_function() -> None:
    x = np.linspace(-6, 6, 200, dtype=np.float32)
    expected = [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x.tolist()]
    np.testing.assert_allclose(gelu(jnp.asarray(x)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_of_gelu_keeps_one_array(dtype: str) -> None:
    x = jnp.linspace(-6, 6, 200, dtype=dtype)
    _, back = jax.vjp(gelu, x)
    assert sum(leaf.size for leaf in jax.tree.leaves(back)) == x.size
    (slopes,) = back(jnp.ones_like(x))
    assert slopes.dtype == x.dtype
    expected = [
        0.5 * (1 + math.erf(value / math.sqrt(2)))
        + value * math.exp(-(value**2) / 2) / math.sqrt(2 * math.pi)
        for value in x.tolist()
    ]
    tolerance = 1e-6 if dtype == "float32" else 0.01
    np.testing.assert_allclose(slopes.astype(jnp.float32), expected, rtol=0, atol=tolerance)


def test_a_program_keeps_two_wide_arrays_for_the_gradient_of_a_feed_forward() -> None:
    """The input and the output of its GELU; with JAX's own gradient of that it keeps four."""
    wide = 4

    def loss(kernels: list[tuple[jax.Array, jax.Array]], x: jax.Array) -> jax.Array:
        for up, down in kernels:
            x = dense(gelu(dense(x, up, jnp.zeros(up.shape[1]))), down, jnp.zeros(down.shape[1]))
        return jnp.sum(jnp.square(x))

    def needed(layers: int) -> int:
        kernels = [(jnp.ones((16, 16 * wide)), jnp.ones((16 * wide, 16)))] * layers
        program = jax.jit(jax.grad(loss)).lower(kernels, x).compile()
        memory = program.memory_analysis()
        assert memory is not None
        return memory.temp_size_in_bytes

    x = jnp.ones((1024, 16))
    assert (needed(4) - needed(2)) / 2 < 2.5 * wide * x.nbytes


def test_gelu_has_a_second_derivative() -> None:
    x = jnp.linspace(-6, 6, 200)
    second = jax.vmap(jax.grad(jax.grad(gelu)))(x)
    expected = (2 - x**2) * jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(second, expected, rtol=0, atol=1e-6)


def test_a_dense_layer_computes_in_the_configured_type_or_the_given_one() -> None:
    config, x = BERT.replace(dtype="bfloat16"), jnp.ones((2, 16))
    assert linear(config, 16, 4, rngs=nnx.Rngs(0))(x).dtype == jnp.bfloat16
    assert linear(config, 16, 4, rngs=nnx.Rngs(0), dtype="float32")(x).dtype == jnp.float32


def test_a_dense_layer_and_its_gradients():
    """Against float64, for one model and for a stack of them."""
    random = np.random.default_rng(0)
    x, kernel, bias, weights = (
        jnp.asarray(random.normal(size=size), jnp.float32)
        for size in ((4, 3, 7, 16), (4, 16, 5), (4, 5), (4, 3, 7, 5))
    )
    graphdef = nnx.graphdef(linear(BERT, 16, 5, rngs=nnx.Rngs(0)))

    def loss(kernel, bias, x, weights):
        params = {"kernel": kernel, "bias": bias}
        return jnp.sum(jnp.square(nnx.merge(graphdef, params)(x)) * weights)

    gradients = jax.grad(loss, argnums=(0, 1, 2))
    stacked = jax.jit(jax.vmap(gradients))(kernel, bias, x, weights)
    for n in range(4):
        inputs, matrix = np.asarray(x[n], np.float64), np.asarray(kernel[n], np.float64)
        delta = 2 * (inputs @ matrix + np.asarray(bias[n])) * np.asarray(weights[n])
        expected = (
            np.einsum("abi,abo->io", inputs, delta),
            delta.sum((0, 1)),
            delta @ matrix.T,
        )
        alone = gradients(kernel[n], bias[n], x[n], weights[n])
        for ours, ours_stacked, theirs in zip(alone, stacked, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
            np.testing.assert_allclose(ours_stacked[n], theirs, rtol=1e-5, atol=1e-4)


def test_gradients_of_parameters_are_not_rounded_to_the_type_of_computation():
    """The gradients of a bfloat16 layer, which has eight bits, agree to the last bit of float32."""
    random = np.random.default_rng(0)
    layer = linear(BERT.replace(dtype="bfloat16"), 16, 5, rngs=nnx.Rngs(0))
    x, delta = (
        jnp.asarray(random.normal(size=(4, 64, n)), jnp.bfloat16).astype(jnp.float32)
        for n in (16, 5)
    )
    found = nnx.grad(lambda layer: jnp.sum(layer(x).astype(jnp.float32) * delta))(layer)
    kernel = np.einsum("abi,abo->io", np.asarray(x, np.float64), np.asarray(delta, np.float64))
    np.testing.assert_allclose(found.kernel[...], kernel, rtol=0, atol=1e-5)
    bias = np.asarray(delta, np.float64).sum((0, 1))
    np.testing.assert_allclose(found.bias[...], bias, rtol=0, atol=1e-5)


def test_dropout_keeps_the_mean_and_needs_rngs() -> None:
    x = jnp.ones((100, 100))
    assert dropout(x, 0.3, None) is x
    assert dropout(x, 0.0, nnx.Rngs(dropout=0)) is x
    dropped = np.asarray(dropout(x, 0.3, nnx.Rngs(dropout=jax.random.key(0))))
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(dropped.mean() - 1) < 5 * math.sqrt(0.3 / 0.7 / x.size)
