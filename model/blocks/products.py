"""Matrix products: the types of their operands and their precision are chosen here."""

import re
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from model.blocks.linear_map import linear_map
from model.blocks.platform import platform


def matmul(a: Array, b: Array, result: Any = None) -> Array:
    """The product a @ b of operands in the dtype of `a`, in the dtype `result` or that of `a`."""
    b, result = b.astype(a.dtype), result or a.dtype
    sums = sum_type(a.dtype, result)
    precision = precision_of(a.dtype)
    return jnp.matmul(a, b, precision=precision, preferred_element_type=sums).astype(result)


def einsum(spec: str, a: Array, b: Array, result: Any = None) -> Array:
    """The same for a product by Einstein's notation.

    The products of its gradient have operands of the same dtype, too. JAX would multiply the
    float32 gradient of a float32 result by bfloat16, which GPUs do as slowly as float32 by float32.
    CPUs do it so: XLA has no product of bfloat16 with float32 sums there for all orders of axes.
    """
    plain = a.dtype == jnp.float32 or platform() == "cpu"
    product = _einsum if plain else _short_einsum
    return product(spec, result or a.dtype, a, b.astype(a.dtype))


def _einsum(spec: str, result: Any, a: Array, b: Array) -> Array:
    sums, precision = sum_type(a.dtype, result), precision_of(a.dtype)
    return jnp.einsum(spec, a, b, precision=precision, preferred_element_type=sums).astype(result)


_short_einsum = jax.custom_jvp(_einsum, nondiff_argnums=(0, 1))


@_short_einsum.defjvp
def _tangent(spec: str, result: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    of_a, of_b, of_product = re.split(",|->", spec)

    def move(known: Any, moved: Any) -> Array:
        return einsum(spec, moved[0], known[1], result) + einsum(spec, known[0], moved[1], result)

    def gradients(known: Any, gradient: Array) -> tuple[Array, Array]:
        rounded = gradient.astype(known[0].dtype)
        by_a = einsum(f"{of_product},{of_b}->{of_a}", rounded, known[1])
        return by_a, einsum(f"{of_a},{of_product}->{of_b}", known[0], rounded)

    moved = linear_map(move, gradients, primals, tangents)
    return _short_einsum(spec, result, *primals), moved


def sum_type(dtype: Any, result: Any) -> Any:
    """The dtype in which a product is asked for that is then rounded to `result`.

    CPUs that multiply bfloat16 give sums in float32. If XLA is asked for bfloat16, it converts the
    operands instead, and multiplies those. GPUs and TPUs round the sums themselves.
    """
    short = jnp.dtype(dtype) == jnp.bfloat16 and platform() == "cpu"
    return jnp.float32 if short else result


def precision_of(dtype: Any) -> str | None:
    """JAX's name of the precision of products: float32 means float32.

    By default TPUs round its factors to bfloat16, and GPUs to TF32. Shorter types are multiplied
    exactly anyway.
    """
    return "highest" if dtype == jnp.float32 else None
