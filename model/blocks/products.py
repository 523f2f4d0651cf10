"""Matrix products: the types of their operands and their precision are chosen here."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from model.blocks.platform import platform


def matmul(a: Array, b: Array, result: Any = None) -> Array:
    """The product a @ b of operands in the dtype of `a`, in the dtype `result` or that of `a`."""
    b, result = b.astype(a.dtype), result or a.dtype
    sums = sum_type(a.dtype, result)
    precision = precision_of(a.dtype)
    return jnp.matmul(a, b, precision=precision, preferred_element_type=sums).astype(result)


def einsum(spec: str, a: Array, b: Array, result: Any = None) -> Array:
    """The same for a product by Einstein's notation."""
    b, result = b.astype(a.dtype), result or a.dtype
    sums = sum_type(a.dtype, result)
    precision = precision_of(a.dtype)
    return jnp.einsum(spec, a, b, precision=precision, preferred_element_type=sums).astype(result)


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
