"""FlashAttention by cuDNN, which stores no maps."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from model.blocks.platform import default_device, platform

_allowed = ContextVar("cudnn_allowed", default=True)


@contextmanager
def without_cudnn() -> Iterator[None]:
    """Excludes cuDNN from code traced inside: under `jax.vmap` it needs a mask for each head."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def has_flash(
    query: Float[Array, "batch length heads head"], key: Float[Array, "batch places heads head"]
) -> bool:
    """True if cuDNN's FlashAttention (Dao et al. 2022) takes these queries and keys.

    It needs an NVIDIA GPU, Ampere or later, 16-bit floats, a head size that is a multiple of 8 and
    at most 128, and, with a mask, an even number of both. Its softmax is float32, too.
    """
    head, even = query.shape[-1], query.shape[1] % 2 == key.shape[1] % 2 == 0
    fits = query.dtype.itemsize == 2 and head % 8 == 0 and head <= 128 and even
    return _allowed.get() and fits and platform() == "gpu" and _has_cudnn_attention()


def attend_by_flash(
    query: Float[Array, "batch length heads head"],
    key: Float[Array, "batch places heads head"],
    value: Float[Array, "batch places heads head"],
    mask: Bool[Array, "batch #length places"] | None,
) -> Float[Array, "batch length heads head"]:
    """The context of `attend`."""
    rows, length, places = query.shape[0], query.shape[1], key.shape[1]
    pairs = mask
    if mask is not None:
        pairs = jnp.broadcast_to(mask[:, None], (rows, 1, length, places))
    # It multiplies by a float32 scale and rounds again, an implicit promotion that strict mode
    # would refuse.
    with jax.numpy_dtype_promotion("standard"):
        return jax.nn.dot_product_attention(query, key, value, mask=pairs, implementation="cudnn")


def _has_cudnn_attention() -> bool:
    capability = getattr(default_device(), "compute_capability", "0")  # "9.0"; "gfx90a" on AMD
    major = capability.partition(".")[0]
    return major.isdigit() and int(major) >= 8
