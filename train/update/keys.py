"""Random numbers from (seed, stream, step): nothing to save, and a resumed run draws the same."""

import zlib
from typing import Literal, NamedTuple

import jax
from jaxtyping import PRNGKeyArray


class Keys(NamedTuple):
    """One key a stream, before the step is folded in."""

    masking: PRNGKeyArray
    dropout: PRNGKeyArray


def keys_of(seed: int) -> Keys:
    """The random numbers of a run."""
    return Keys(stream_key(seed, "masking"), stream_key(seed, "dropout"))


Stream = Literal["init", "masking", "dropout"]


def stream_key(seed: int, stream: Stream) -> PRNGKeyArray:
    """The key of one use of random numbers.

    Always threefry: other generators give a student trained in a stack of students other numbers
    than it would draw alone.
    """
    return jax.random.fold_in(
        jax.random.key(seed, impl="threefry2x32"), zlib.crc32(stream.encode())
    )
