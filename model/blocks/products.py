"""Matrix products: the types of their operands and their precision are chosen here."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array


def matmul(a: Array, b: Array, result: Any = None) -> Array:
    """The product a @ b of operands in the dtype of `a`, in the dtype `result` or that of `a`."""
    precision = precision_of(a.dtype)
    return jnp.matmul(a, b.astype(a.dtype), precision=precision, preferred_element_type=result)


def einsum(spec: str, a: Array, b: Array, result: Any = None) -> Array:
    """The same for a product by Einstein's notation."""
    b, precision = b.astype(a.dtype), precision_of(a.dtype)
    return jnp.einsum(spec, a, b, precision=precision, preferred_element_type=result)


def precision_of(dtype: Any) -> str | None:
    """JAX's name of the precision of products: float32 means float32.

    By default TPUs round its factors to bfloat16, and GPUs to TF32. Shorter types are multiplied
    exactly anyway.
    """
    return "highest" if dtype == jnp.float32 else None
