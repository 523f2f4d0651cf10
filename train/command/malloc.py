"""Settings for the memory of XLA on CPUs: one program at a time, and freed memory is kept."""

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


def keep_freed_memory() -> None:
    """Makes malloc keep what is freed, and programs wait for each other, on the CPU.

    Has to be called first: threads that another library starts at its import, such as pyarrow, have
    arenas of their own, which XLA's threads would then use too.

    XLA for CPUs allocates all temporaries of a program at every call. glibc maps large arrays from
    the system and returns them, so the kernel clears every page again: half a million page faults
    in an update of a full-size model, up to 45 % of its time. The price is that a process keeps its
    largest size to its end. malloc is left alone where it is not glibc's, or where the environment
    sets it (MALLOC_ARENA_MAX and others, GLIBC_TUNABLES).

    A program that is dispatched asynchronously takes its temporaries while those of the one before
    are not free yet: two or three blocks of them are then held at once, and kept. Nothing is gained
    by it, as the CPU that would go on in Python is the one that computes.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()):
        return
    if has_accelerator() or any(name.startswith(("MALLOC_", "GLIBC_TUN")) for name in os.environ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in OPTIONS.values():
        mallopt(option, value)


def has_accelerator() -> bool:
    """True if JAX will compute on anything but the CPU, found without starting a backend."""
    if platforms := jax.config.jax_platforms:  # type: ignore[attr-defined]
        return platforms != "cpu"
    return any(
        importlib.util.find_spec(package) and any(Path("/dev").glob(pattern))
        for package, patterns in DEVICES.items()
        for pattern in patterns
    )
