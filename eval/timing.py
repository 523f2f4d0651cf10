"""Times and memory of functions, such that their ratios can be trusted."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def seconds_by_turns(
    functions: Mapping[str, Callable[[], object]], *, repeats: int
) -> dict[str, list[float]]:
    """The times of each function, called by turns so that all meet the same disturbances.

    Each is called once before, to compile.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(time.perf_counter() - start)
    return times


def peak_memory(device: Any) -> int:
    """The most memory held so far, in bytes: on a JAX device, or by this process if a CPU."""
    stats = device.memory_stats()
    return stats["peak_bytes_in_use"] if stats else peak_main_memory()


def peak_main_memory() -> int:
    """The most main memory that this process has held so far, in bytes (ru_maxrss)."""
    import resource  # not there on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
