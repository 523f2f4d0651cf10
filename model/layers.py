"""The three layers everything is made of, with BERT's settings instead of Flax's defaults."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.config import EncoderConfig


class Linear(nnx.Linear):
    """A dense layer."""

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        kernel, bias = (param[...].astype(self.dtype) for param in (self.kernel, self.bias))
        return add_bias(x.astype(self.dtype) @ kernel, bias)


@jax.custom_vjp
def add_bias(x: Float[Array, "*batch size"], bias: Float[Array, " size"]) -> Array:
    """Adds a bias, whose gradient is a product with a vector of ones.

    It is a sum over all tokens. Written as one, XLA for CPUs takes as long for it as for the matrix
    products of a narrow layer.
    """
    return x + jnp.broadcast_to(bias, x.shape)


def _bias_gradient(_: None, gradient: Array) -> tuple[Array, Array]:
    rows = gradient.reshape(-1, gradient.shape[-1])
    return gradient, jnp.ones(len(rows), rows.dtype) @ rows


add_bias.defvjp(lambda x, bias: (add_bias(x, bias), None), _bias_gradient)


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
    """LayerNorm in float32, whatever comes in.

    The variance is that of the centred values: Flax's fast E[x^2] - E[x]^2 cancels to nothing at
    BERT's epsilon of 1e-12.
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


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exact GELU, by the error function: BERT's, and not JAX's default."""
    return jax.nn.gelu(x, approximate=False)


def dropout(x: Float[Array, "..."], rate: float, rngs: nnx.Rngs | None) -> Float[Array, "..."]:
    """Zeroes a share `rate` of `x` and scales up the rest; without `rngs` there is no dropout."""
    if rngs is None or rate == 0.0:
        return x
    return nnx.Dropout(rate)(x, rngs=rngs)
