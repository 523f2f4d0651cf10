"""Dense layer, LayerNorm, GELU and dropout with BERT's settings instead of Flax's defaults."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.blocks.linear_map import linear_map
from model.blocks.products import matmul
from model.config import EncoderConfig


class Linear(nnx.Linear):
    """A dense layer."""

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        assert self.bias is not None
        return dense(x.astype(self.dtype), self.kernel[...], self.bias[...])


@jax.custom_jvp
def dense(
    x: Float[Array, "*batch inputs"],
    kernel: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"],
) -> Float[Array, "*batch outputs"]:
    """The product x @ kernel + bias in the dtype of `x`, with its own gradient.

    The gradient consists of plain 2-D matmuls, because XLA on CPU is slow at the contractions and
    sums over batch and length that JAX would emit. The gradient of kernel and bias comes out in
    their own dtype (float32). JAX would round it to that of `x` before it is summed over
    micro-batches and devices: half the bytes to exchange, but less precise.
    """
    product = matmul(x, kernel)
    return product + jnp.broadcast_to(bias.astype(x.dtype), product.shape)


@dense.defjvp
def _tangent(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    x, kernel, _ = primals
    return dense(*primals), linear_map(_move, _gradients, (x, kernel), tangents)


def _move(known: tuple[Array, ...], tangents: tuple[Array, ...]) -> Array:
    (x, kernel), (of_x, of_kernel, of_bias) = known, tangents
    return dense(of_x, kernel, of_bias) + matmul(x, of_kernel)


def _gradients(known: tuple[Array, ...], gradient: Array) -> tuple[Array, ...]:
    x, kernel = known
    inputs, outputs = (a.reshape(-1, a.shape[-1]) for a in (x, gradient))
    ones = jnp.ones((1, len(outputs)), outputs.dtype)
    return (
        matmul(gradient, kernel.T),
        matmul(inputs.T, outputs, kernel.dtype),
        matmul(ones, outputs, kernel.dtype)[0],
    )


def linear(
    config: EncoderConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs, dtype: str | None = None
) -> Linear:
    """A dense layer with weights from N(0, initializer_range) and zero biases."""
    return Linear(
        inputs,
        outputs,
        kernel_init=nnx.initializers.normal(config.initializer_range),
        dtype=jnp.dtype(dtype or config.dtype),
        rngs=rngs,
    )


class LayerNorm(nnx.LayerNorm):
    """LayerNorm in float32, whatever the dtype of its input.

    The variance is computed from centred values: Flax's fast E[x^2] - E[x]^2 cancels, and
    BERT's epsilon of 1e-12 is too small to hide the error.
    """

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        super().__init__(
            config.hidden_size,
            epsilon=config.layer_norm_eps,
            use_fast_variance=False,
            dtype=jnp.float32,
            rngs=rngs,
        )

    def __call__(self, x: Float[Array, "... hidden"]) -> Float[Array, "... hidden"]:
        return super().__call__(x.astype(jnp.float32)).astype(x.dtype)


@jax.custom_jvp
def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exact GELU, by the error function, as in BERT; JAX's default is an approximation.

    XLA keeps only `x` for its gradient. Of JAX's own it keeps three arrays, each as wide as the
    feed-forward.
    """
    return jax.nn.gelu(x, approximate=False)


@gelu.defjvp
def _gelu_tangent(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    # x P(x) has the slope P(x) + x p(x), with the normal distribution P and its density p. By erf:
    # the erfc of the forward pass would be kept for it, and with it the exponentials.
    distribution = (1 + jax.lax.erf(x * math.sqrt(1 / 2))) / 2
    density = jnp.exp(-jnp.square(x) / 2) / math.sqrt(2 * math.pi)
    return gelu(x), tangent * (distribution + x * density)


def dropout(x: Float[Array, "..."], rate: float, rngs: nnx.Rngs | None) -> Float[Array, "..."]:
    """Zeroes a share `rate` of `x` and scales up the rest; without `rngs` there is no dropout."""
    if rngs is None or rate == 0.0:
        return x
    return nnx.Dropout(rate)(x, rngs=rngs)
