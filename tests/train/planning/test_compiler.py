"""Steps that a compiler refuses, with the memory that they lack."""

from types import SimpleNamespace
from typing import Any

import jax
import pytest

from train.planning.compiler import StepCompiler
from train.planning.largest_batch import TooLargeError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("Ran out of memory in memory space vmem (CompileTimeScopedVmemOom)", "more vector memory"),
        ("Used 17.10G of 15.75G hbm. Exceeded hbm capacity", "17.10GiB of 15.75GiB"),
        ("no room", "more than there is"),
    ],
)
def test_a_step_that_is_too_large_says_for_what(error, message):
    def refuse():
        raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {error}")

    compiler: Any = StepCompiler.__new__(StepCompiler)
    compiler.step = SimpleNamespace(lower=lambda *_: SimpleNamespace(compile=refuse))
    compiler.parallel, compiler.done = SimpleNamespace(count=4), {}
    with pytest.raises(TooLargeError, match=message):
        compiler(8, 1)
