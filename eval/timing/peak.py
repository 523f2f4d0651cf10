"""The most memory that was held; asked of a process that may have no JAX."""

import re
import sys
from pathlib import Path
from typing import Any


def peak_memory(device: Any) -> int:
    """The most memory held so far, in bytes: on a JAX device, or by this process if a CPU."""
    stats = device.memory_stats()
    return stats["peak_bytes_in_use"] if stats else peak_main_memory()


def peak_main_memory() -> int:
    """The most main memory that this process has held so far, in bytes.

    On Linux the kernel's VmHWM: ru_maxrss begins with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text("utf-8"))):
        return int(found[1]) * 1024
    import resource  # not there on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
