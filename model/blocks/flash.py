"""The implementation of attention that returns no maps: cuDNN where possible, else XLA."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_allowed = ContextVar("cudnn_allowed", default=True)


@contextmanager
def without_cudnn() -> Iterator[None]:
    """Excludes cuDNN from code traced inside: under `jax.vmap` it needs a mask for each head."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def implementation(
    query: Float[Array, "batch length heads head"], key: Float[Array, "batch places heads head"]
) -> Literal["cudnn", "xla"]:
    """The `implementation` of `jax.nn.dot_product_attention` for these queries and keys.

    cuDNN's FlashAttention (Dao et al. 2022) never stores a map. It needs an NVIDIA GPU, Ampere or
    later, 16-bit floats, a head size that is a multiple of 8 and at most 128, and, with a mask, an
    even number of both. Its softmax is float32, too.
    """
    head, even = query.shape[-1], query.shape[1] % 2 == key.shape[1] % 2 == 0
    fits = query.dtype.itemsize == 2 and head % 8 == 0 and head <= 128 and even
    return "cudnn" if _allowed.get() and fits and _has_cudnn_attention() else "xla"


def _has_cudnn_attention() -> bool:
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    device = jax.devices(chosen)[0] if isinstance(chosen, str | None) else chosen
    capability = getattr(device, "compute_capability", "0")  # "9.0"; "gfx90a" on AMD
    major = capability.partition(".")[0]
    return major.isdigit() and int(major) >= 8


def pair_mask(
    mask: Bool[Array, "batch _ places"], length: int
) -> Bool[Array, "batch 1 {length} places"]:
    """The mask of all pairs of a token and a place, of the places that each or every token sees."""
    rows, _, places = mask.shape
    return jnp.broadcast_to(mask[:, None], (rows, 1, length, places))
