"""Compilation of a step, and what the compiler says of it: memory, exchanges, operations."""

import math
import re
from dataclasses import dataclass
from typing import Any

import jax

from model.terminal import say
from train.loop.memory import is_out_of_memory
from train.planning.abstract_step import AbstractStep
from train.planning.collectives import Collective, collectives
from train.planning.largest_batch import TooLargeError
from train.update.parallel import Parallel

GIB = 2**30
# Two messages of XLA: the scheduled program is too large, or its temporaries alone are.
_NEEDED = re.compile(r"(?:Used |\()([\d.]+[KMG])(?: of |\) exceeds available HBM \()([\d.]+[KMG])")
# That of the scores of 512 rows and more, whatever the chunk of tokens; the default is 16 MiB.
_MORE_VMEM = "LIBTPU_INIT_ARGS=--xla_tpu_scoped_vmem_limit_kib=65536 gives it more"


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes on one device while the step runs."""

    parameters: int
    """Of the model that is trained."""
    constants: int
    """Arrays that are read and never change: the teacher, above all."""
    optimizer: int
    """Two moments of every parameter that is not frozen."""
    batch: int
    """Tokens of all micro-batches, and keys."""
    temporaries: int
    """Activations, gradients and their sums."""
    program: int

    @property
    def total(self) -> int:
        return sum(vars(self).values())


@dataclass(frozen=True)
class CompiledStep:
    """A step for real devices."""

    rows: int
    """Sequences of a micro-batch on one device."""
    micro_batches: int
    memory: DeviceMemory
    collectives: list[Collective]
    flops: float | None
    """On one device by the compiler's count, a loop's body counted once."""


class StepCompiler:
    """Compiles a step for devices and any batch, each batch only once."""

    def __init__(self, step: AbstractStep, parallel: Parallel):
        self.step, self.parallel = step, parallel
        self.done: dict[tuple[int, int], CompiledStep | TooLargeError] = {}

    def __call__(self, rows: int, micro_batches: int) -> CompiledStep:
        """The step for micro-batches of `rows` sequences on each device.

        Raises:
            TooLargeError: that takes more memory than a device has.
        """
        size = rows, micro_batches
        if size not in self.done:
            say(f"compiling {micro_batches} x {rows} sequences a device ...", error=True)
            self.done[size] = self._compile(rows, micro_batches)
        outcome = self.done[size]
        if isinstance(outcome, TooLargeError):
            raise outcome
        return outcome

    def _compile(self, rows: int, micro_batches: int) -> CompiledStep | TooLargeError:
        lowered = self.step.lower(self.parallel, rows * self.parallel.count, micro_batches)
        try:
            compiled = lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            if not is_out_of_memory(error):
                raise
            found = _NEEDED.search(str(error))
            if "Vmem" in str(error):  # the memory of the cores, of which a fused loop takes a part
                return TooLargeError(f"more vector memory than a loop may have; {_MORE_VMEM}")
            return TooLargeError(f"{found[1]}iB of {found[2]}iB" if found else "more than there is")
        analysis: Any = compiled.memory_analysis()
        state, costs = self.step.state, compiled.cost_analysis() or {}
        trees = state.params, self.step.constants, state.opt_state
        parameters, constants, optimizer = map(byte_count, trees)
        memory = DeviceMemory(
            parameters=parameters,
            constants=constants,
            optimizer=optimizer,
            # Arrays are laid out in tiles, which pads all of them a little.
            batch=analysis.argument_size_in_bytes - parameters - constants - optimizer,
            # The new state takes the place of the old one.
            temporaries=analysis.temp_size_in_bytes
            + analysis.output_size_in_bytes
            - analysis.alias_size_in_bytes,
            program=analysis.generated_code_size_in_bytes,
        )
        exchanges = collectives(compiled.as_text() or "")
        return CompiledStep(rows, micro_batches, memory, exchanges, costs.get("flops"))


def byte_count(tree: Any) -> int:
    """Bytes of all arrays of a tree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
