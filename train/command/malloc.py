"""Main memory that is freed and at once asked for again stays with the process."""

import ctypes
import importlib.util
import os
from pathlib import Path

import jax

# Of glibc's <malloc.h>, with what they are set to: nothing is mapped for one array alone or given
# back, and all threads share the one heap for which that can be said.
OPTIONS = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_ARENA_MAX": (-8, 1)}
# What drives accelerators, and the files of /dev by which they are seen: a compiler for TPUs may be
# installed where there are none.
DEVICES = {"libtpu": ("accel*", "vfio/[0-9]*"), "jax_plugins": ("nvidia[0-9]*", "kfd")}


def keep_freed_memory() -> None:
    """Makes malloc keep what is freed, where JAX computes on the CPU.

    To be called first of all: threads that another library starts at its import, such as pyarrow,
    have heaps of their own, which XLA's threads would then use too.

    XLA for CPUs asks malloc at every call for all that a program holds between its operations.
    glibc maps large arrays from the system and gives them back, and so the kernel clears every page
    of them anew: half a million page faults in an update of a full-size model, up to 45 % of its
    time. What a process held at most it then holds to its end. Nothing is changed where malloc is
    not glibc's, or where the environment sets it (MALLOC_ARENA_MAX and others, GLIBC_TUNABLES).
    """
    if "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()):
        return
    if has_accelerator() or any(name.startswith(("MALLOC_", "GLIBC_TUN")) for name in os.environ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in OPTIONS.values():
        mallopt(option, value)


def has_accelerator() -> bool:
    """Whether JAX is to compute on anything but the CPU; tells without starting a backend."""
    if platforms := jax.config.jax_platforms:  # type: ignore[attr-defined]
        return platforms != "cpu"
    return any(
        importlib.util.find_spec(package) and any(Path("/dev").glob(pattern))
        for package, patterns in DEVICES.items()
        for pattern in patterns
    )
