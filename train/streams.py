"""Random numbers from (seed, stream, step): nothing to save, and a resumed run draws the same."""

import zlib
from typing import Literal

import jax
from jaxtyping import PRNGKeyArray

Stream = Literal["init", "masking", "dropout"]


def stream_key(seed: int, stream: Stream) -> PRNGKeyArray:
    """The key of one use of random numbers.

    Always threefry: other generators give a student trained in a stack of students other numbers
    than it would draw alone.
    """
    return jax.random.fold_in(
        jax.random.key(seed, impl="threefry2x32"), zlib.crc32(stream.encode())
    )
