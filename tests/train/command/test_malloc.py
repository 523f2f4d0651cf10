"""Memory that is freed is not cleared anew, where JAX computes on the CPU."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from train.command import malloc as heap

ARRAY = 1 << 26  # bytes that the program holds between its two products
PROGRAM = """
import resource, sys
sys.argv[0] = "{started}"
import {package}
import pyarrow  # starts a thread, which has a heap of its own
import jax, jax.numpy as jnp

program = jax.jit(lambda x, w: jnp.sum((x @ w) @ w.T))
x, w = jnp.ones((64, 64)), jnp.ones((64, {array} // 64 // 4))
for _ in range(3):
    program(x, w).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
program(x, w).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GROWTH = """
def highest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

# Without it the process grows in some runs only.
assert not jax.config.read("jax_cpu_enable_async_dispatch")
before = highest()
step = jax.jit(lambda x, w: x + 1e-9 * (x @ w) @ w.T, donate_argnums=0)
for _ in range(30):
    x = step(x, w)
x.block_until_ready()
print(highest() - before)
"""


@pytest.mark.parametrize(
    ("installed", "present", "platforms", "expected"),
    [
        ("libtpu", "", None, False),  # the compiler alone, for plans
        ("libtpu", "vfio/0", None, True),
        ("jax_plugins", "nvidia0", None, True),
        ("", "nvidia0", None, False),  # nothing that would use it
        ("jax_plugins", "nvidia0", "cpu", False),
        ("", "", "tpu", True),
    ],
)
def test_an_accelerator_is_driver_and_device(
    monkeypatch, tmp_path, installed, present, platforms, expected
):
    (tmp_path / present).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(heap.jax, "config", SimpleNamespace(jax_platforms=platforms))
    monkeypatch.setattr(heap.importlib.util, "find_spec", lambda name: name == installed or None)
    monkeypatch.setattr(heap, "Path", lambda _: tmp_path)
    assert heap.has_accelerator() == expected


def page_faults(package: str, started: str = "-m", **environment: str) -> int:
    return printed_last(PROGRAM, package, started, **environment)


def printed_last(program: str, package: str, started: str = "-m", **environment: str) -> int:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    program = program.format(package=package, started=started, array=ARRAY)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=kept | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


@pytest.mark.long
@pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", ()), reason="malloc is not glibc's"
)
def test_commands_do_not_ask_for_pages_anew():
    pages = ARRAY // os.sysconf("SC_PAGE_SIZE")
    for package in ("train", "eval"):
        assert page_faults(package) < pages / 100
    # As people set it themselves, or import the package: it is left alone, and does as glibc does.
    assert page_faults("train", MALLOC_ARENA_MAX="8") > pages / 2
    assert page_faults("train", started="notebook") > pages / 2


@pytest.mark.long
def test_the_temporaries_of_one_program_are_held_at_a_time():
    assert printed_last(PROGRAM + GROWTH, "train") < ARRAY / 2
