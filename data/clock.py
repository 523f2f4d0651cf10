"""Time that has passed: always more than none, so that it can divide."""

import time

TICK = time.get_clock_info("perf_counter").resolution


def seconds_since(start: float) -> float:
    """Seconds since `time.perf_counter()` was `start`, also where the clock stood still: a tick."""
    return max(time.perf_counter() - start, TICK)
