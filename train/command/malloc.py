"""Settings of glibc's malloc that keep freed memory, which XLA on CPUs asks for again at once."""

import ctypes
import importlib.util
import os
from pathlib import Path

import jax

# Numbers of glibc's <malloc.h> and their values: never mmap single arrays, never trim, one arena
# for all threads (the other settings hold for the first arena only).
OPTIONS = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_ARENA_MAX": (-8, 1)}
# Packages that drive accelerators, and the device files that show that there are any: a compiler
# for TPUs may be installed where there are none.
DEVICES = {"libtpu": ("accel*", "vfio/[0-9]*"), "jax_plugins": ("nvidia[0-9]*", "kfd")}

_kept: list[bool] = []  # whether `keep_freed_memory` has done so in this process


def keep_freed_memory() -> None:
    """Makes malloc keep what is freed, where JAX computes on the CPU.

    Has to be called first: threads that another library starts at its import, such as pyarrow, have
    arenas of their own, which XLA's threads would then use too.

    XLA for CPUs allocates all temporaries of a program at every call. glibc maps large arrays from
    the system and returns them, so the kernel clears every page again: half a million page faults
    in an update of a full-size model, up to 45 % of its time. The price is that a process keeps its
    largest size to its end. Nothing is changed where malloc is not glibc's, or where the
    environment sets it (MALLOC_ARENA_MAX and others, GLIBC_TUNABLES).
    """
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()):
        return
    if has_accelerator() or any(name.startswith(("MALLOC_", "GLIBC_TUN")) for name in os.environ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in OPTIONS.values():
        mallopt(option, value)
    _kept.append(True)


def return_lost_memory() -> None:
    """Gives memory that is free now back to the system, where `keep_freed_memory` keeps it.

    The temporaries of a program are one block of the heap. Now and then malloc does not find it
    again for the next call, because something small has settled behind it, and takes another: the
    first is lost, and the process grows. Called rarely, this costs the page faults of one call.
    """
    if _kept:
        ctypes.CDLL(None).malloc_trim(0)


def has_accelerator() -> bool:
    """True if JAX will compute on anything but the CPU, found without starting a backend."""
    if platforms := jax.config.jax_platforms:  # type: ignore[attr-defined]
        return platforms != "cpu"
    return any(
        importlib.util.find_spec(package) and any(Path("/dev").glob(pattern))
        for package, patterns in DEVICES.items()
        for pattern in patterns
    )
