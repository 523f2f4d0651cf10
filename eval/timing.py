"""Times of functions, such that their ratios can be trusted."""

import time
from collections.abc import Callable, Mapping

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
