"""The memory that a compiled step needs and a device has, and a message where it is too little."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from model.errors import InputError


def memory_limit() -> int:
    """The bytes of a device's memory; of this machine's where that is the device."""
    stats = jax.local_devices()[0].memory_stats() or {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(stats.get("bytes_limit", machine))


def memory_needed(step: jax.stages.Compiled) -> int:
    """The bytes that a compiled step takes on a device: arguments, results, and all between."""
    used = step.memory_analysis()
    assert used is not None
    return (
        used.argument_size_in_bytes
        + used.output_size_in_bytes
        - used.alias_size_in_bytes
        + used.temp_size_in_bytes
    )


def is_out_of_memory(error: Exception) -> bool:
    return "RESOURCE_EXHAUSTED" in str(error)


def gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


@contextmanager
def out_of_memory(fitting: Callable[[], str]) -> Iterator[None]:
    """Explains an out-of-memory error; `fitting` ends the sentence with what would fit.

    Raises:
        InputError: in place of the runtime's error.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            "out of memory: resume with --run.remat, which computes activations twice to keep few, "
            "or begin anew in another --output with more --micro-batches, which run an update in "
            f"smaller parts{fitting()}"
        ) from error


def sequences_that_fit(
    step: Any, state: Any, constants: Any, batch: Mapping[str, Any], keys: Any, *, axis: int
) -> str:
    """The number that fits at a time, as the end of a sentence; "" where the compiler gives none.

    Args:
        step: compiled by `Parallel`.
        state: what it is called with; of this and the following only the shapes are read.
        constants: likewise.
        batch: likewise.
        keys: likewise.
        axis: of the sequences, in the arrays of the batch.
    """
    rows = batch["input_ids"].shape[axis]

    def needed(count: int) -> int:
        def shape(array: Any, *, fewer: bool = False) -> jax.ShapeDtypeStruct:
            sizes = list(array.shape)
            if fewer:
                sizes[axis] = count
            sharding = getattr(array, "sharding", None)
            return jax.ShapeDtypeStruct(sizes, array.dtype, sharding=sharding)

        inputs = jax.tree.map(shape, (state, constants, keys))
        part = {name: shape(array, fewer=True) for name, array in batch.items()}
        return memory_needed(step.lower(*inputs[:2], part, inputs[2]).compile())

    # Memory grows linearly with the number of sequences: two numbers give the line.
    try:
        whole, half = needed(rows), needed(rows // 2)
    except Exception:  # a study's step is compiled once; half may not divide; the device is full
        return ""
    each, limit = (whole - half) / (rows - rows // 2), memory_limit()
    fitting = rows - math.ceil((whole - limit) / each) if each > 0 else 0
    if not 0 < fitting < rows:
        return ""
    return (
        f"; {rows} sequences at a time need {gigabytes(whole)} and there are {gigabytes(limit)}: "
        f"about {fitting} fit"
    )
