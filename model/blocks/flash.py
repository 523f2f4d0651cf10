"""What computes attention where nobody asks for its maps: cuDNN where it can, else XLA."""

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
    """What is traced inside does without: under `jax.vmap` cuDNN's wants a mask for every head."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def implementation(query: Float[Array, "batch length heads head"]) -> Literal["cudnn", "xla"]:
    """Of `jax.nn.dot_product_attention`.

    cuDNN's (FlashAttention, Dao et al. 2022) never stores a map. It is for NVIDIA GPUs from Ampere
    on, 16-bit floats, heads of a multiple of 8 up to 128, and, with a mask, an even length. Its
    softmax is float32, too.
    """
    _, length, _, head = query.shape
    fits = query.dtype.itemsize == 2 and head % 8 == 0 and head <= 128 and length % 2 == 0
    return "cudnn" if _allowed.get() and fits and _has_cudnn_attention() else "xla"


def _has_cudnn_attention() -> bool:
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    device = jax.devices(chosen)[0] if isinstance(chosen, str | None) else chosen
    capability = getattr(device, "compute_capability", "0")  # "9.0"; "gfx90a" on AMD
    major = capability.partition(".")[0]
    return major.isdigit() and int(major) >= 8


def pairs(mask: Bool[Array, "batch length"]) -> Bool[Array, "batch 1 length length"]:
    """Which token may attend to which: from all, to the tokens where `mask` is true."""
    rows, length = mask.shape
    return jnp.broadcast_to(mask[:, None, None, :], (rows, 1, length, length))
