"""The most memory that was held; asked of a process that may have no JAX."""

import re
import sys
from pathlib import Path
from typing import Any


def peak_memory(device: Any) -> int:
    """The most memory held so far, in bytes: on a JAX device, or by this process if a CPU."""
    stats = device.memory_stats()
    return stats["peak_bytes_in_use"] if stats else peak_main_memory()


def peak_main_memory_of(process: int) -> int | None:
    """The most main memory that another process has held so far, in bytes; None off Linux."""
    return _high_water_mark(Path(f"/proc/{process}/status"))


def peak_main_memory() -> int:
    """The most main memory that this process has held so far, in bytes.

    On Linux the kernel's VmHWM: ru_maxrss begins with that of the process that started this one.
    """
    if (peak := _high_water_mark(Path("/proc/self/status"))) is not None:
        return peak
    import resource  # not there on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _high_water_mark(status: Path) -> int | None:
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8"))):
        return int(found[1]) * 1024
    return None
