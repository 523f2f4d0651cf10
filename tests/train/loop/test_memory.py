"""Messages where a device has too little memory."""

import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from model.errors import InputError
from tests import runs
from train.loop import fit as loop
from train.loop import memory
from train.loop.memory import memory_needed, out_of_memory, sequences_that_fit
from train.pretrain import pretrain

FULL = "RESOURCE_EXHAUSTED: Out of memory allocating 123456789 bytes."


def test_other_errors_are_let_through():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), out_of_memory(lambda: ""):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")


@pytest.mark.long
def test_a_run_without_memory_says_what_to_do_and_how_much_fits(tmp_path, monkeypatch):
    """The step is the real one, but for its memory."""
    home = runs.make_home(tmp_path)
    compile_step = loop.Parallel.compile

    def broken(self, make):
        step = compile_step(self, make)

        def call(*_):
            raise jax.errors.JaxRuntimeError(FULL)

        return type("Step", (), {"__call__": staticmethod(call), "lower": step.lower})()

    monkeypatch.setattr(loop.Parallel, "compile", broken)
    monkeypatch.setattr(memory, "memory_limit", lambda: 400_000)
    with pytest.raises(
        InputError, match=r"resume with --run\.remat.*more --micro-batches"
    ) as caught:
        pretrain(runs.pretrain_config(home))
    assert "8 sequences at a time need" in str(caught.value)
    assert re.search(r"about [1-7] fit$", str(caught.value))


@jax.jit
def quadratic(state, constants, batch, keys):
    """Memory that grows with the rows."""
    rows = batch["input_ids"][0].astype(jnp.float32) * state
    return jnp.sin(jnp.sort(rows @ constants, axis=0)), keys


def inputs(rows):
    batch = {"input_ids": jnp.zeros((1, rows, 64), jnp.int32)}
    return jnp.ones(()), jnp.zeros((64, 4096)), batch, jnp.zeros(())


def test_as_many_fit_as_the_compiler_says(monkeypatch):
    state, constants, batch, keys = inputs(64)
    needed = {n: memory_needed(quadratic.lower(*inputs(n)).compile()) for n in (24, 25, 64)}
    monkeypatch.setattr(memory, "memory_limit", lambda: (needed[24] + needed[25]) // 2)
    sentence = sequences_that_fit(quadratic, state, constants, batch, keys, axis=1)
    assert sentence.startswith("; 64 sequences at a time need")
    assert sentence.endswith(": about 24 fit")


@pytest.mark.parametrize("limit", [10, 10**12])
def test_no_number_is_given_where_all_or_nothing_fits(monkeypatch, limit):
    monkeypatch.setattr(memory, "memory_limit", lambda: limit)
    state, constants, batch, keys = inputs(64)
    assert sequences_that_fit(quadratic, state, constants, batch, keys, axis=1) == ""


def test_no_number_is_given_for_a_step_that_cannot_be_compiled_anew():
    state, constants, batch, keys = inputs(2)
    assert sequences_that_fit(SimpleNamespace(), state, constants, batch, keys, axis=1) == ""
