"""FlashAttention by cuDNN, which stores no maps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from model.blocks.platform import default_device, platform
from model.blocks.segments import AttentionMask, Blocks, blocks, pairs_of, starts_lengths
from model.terminal import say

SHORT_TEXTS = 8
"""The mean length of the texts of a row below which they are told apart by a mask: cuDNN keeps some
numbers for each text that a row could have, and so many of them at most."""

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
    return _allowed.get() and fits and platform() == "gpu" and _generation() >= 8


def attend_by_flash(
    query: Float[Array, "batch length heads head"],
    key: Float[Array, "batch places heads head"],
    value: Float[Array, "batch places heads head"],
    mask: AttentionMask,
) -> Float[Array, "batch length heads head"]:
    """The context of `attend`. Of texts that share a row, each is read for itself, from Hopper on.

    A row of very many short texts has a mask instead, as has every row where that does not work.
    """
    room = query.shape[1] // SHORT_TEXTS
    if not isinstance(mask, Blocks) or room < 2 or not _knows_texts():
        return _attend_where(query, key, value, pairs_of(mask))
    starts, lengths = starts_lengths(mask.segments, room)
    fits = jnp.all(jnp.sum(lengths, axis=1, where=lengths > 0) == query.shape[1])
    return jax.lax.cond(
        fits,
        lambda query, key, value: _attend_by_text(query, key, value, starts, lengths),
        lambda query, key, value: _attend_where(query, key, value, mask.pairs),
        *(query, key, value),
    )


def _attend_where(
    query: Array, key: Array, value: Array, mask: Bool[Array, "batch #length places"] | None
) -> Array:
    rows, length, places = query.shape[0], query.shape[1], key.shape[1]
    pairs = mask
    if mask is not None:
        pairs = jnp.broadcast_to(mask[:, None], (rows, 1, length, places))
    # It multiplies by a float32 scale and rounds again, an implicit promotion that strict mode
    # would refuse.
    with jax.numpy_dtype_promotion("standard"):
        return jax.nn.dot_product_attention(query, key, value, mask=pairs, implementation="cudnn")


def _attend_by_text(query: Array, key: Array, value: Array, starts: Array, lengths: Array) -> Array:
    offsets = jnp.pad(starts, ((0, 0), (0, 1)), constant_values=-1)
    with jax.numpy_dtype_promotion("standard"):
        return _private_attention()(
            query,
            key,
            value,
            q_seqlen=lengths,
            kv_seqlen=lengths,
            q_offsets=offsets,
            kv_offsets=offsets,
            scale=query.shape[-1] ** -0.5,
        )


def _private_attention() -> Callable[..., Any]:
    """JAX's function that knows texts in a row; the public one does not hand this on."""
    from jax._src.cudnn.fused_attention_stablehlo import dot_product_attention

    return dot_product_attention


@cache
def _knows_texts() -> bool:
    """True if attention by texts gives here what a mask gives; tried once, on a few numbers."""
    if _generation() < 9:
        return False
    try:
        with jax.ensure_compile_time_eval():
            difference = float(jax.jit(lambda: _try_texts())())
        reason = f"it differs by {difference:.2g}"
    except Exception as error:  # of a function that may be gone, or of any layer below it
        difference, reason = 1.0, f"{error}".partition("\n")[0]
    if difference < 0.1:
        return True
    say(
        f"cuDNN's attention does not know the texts of a row here ({reason}); a mask tells them "
        "apart instead, which takes longer",
        error=True,
    )
    return False


def _try_texts() -> Float[Array, ""]:
    """The largest difference between the two, of contexts and gradients about 1 in size."""
    segments = jnp.repeat(jnp.asarray([1, 2, 3, 1, 0]), jnp.asarray([5, 27, 32, 50, 14]), axis=0)
    texts = blocks(segments.reshape(2, 64))
    *arrays, moved = jax.random.normal(jax.random.key(0), (4, 2, 64, 2, 64), jnp.bfloat16)

    def gradients(attend: Callable[..., Array]) -> list[Array]:
        context, back = jax.vjp(attend, *arrays)
        return [context, *back(moved)]

    starts, lengths = starts_lengths(texts.segments, 4)
    by_text = gradients(lambda q, k, v: _attend_by_text(q, k, v, starts, lengths))
    by_mask = gradients(lambda q, k, v: _attend_where(q, k, v, texts.pairs))
    return jnp.max(jnp.abs(jnp.stack(by_text) - jnp.stack(by_mask))).astype(jnp.float32)


def _generation() -> int:
    """The major number of a GPU's compute capability: Ampere is 8, Hopper 9; 0 of none."""
    capability = getattr(default_device(), "compute_capability", "0")  # "9.0"; "gfx90a" on AMD
    major = capability.partition(".")[0]
    return int(major) if major.isdigit() else 0
