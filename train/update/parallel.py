"""One program over a mesh of devices, or one program a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from model.errors import InputError
from model.ranges import Count
from train.objectives.objective import DeviceBatch
from train.update.step import Observation, Step, TrainState

AXIS = "data"
# XLA for CPUs orders operations such that many could run at once, and so keeps what it could free:
# in fine-tuning a tenth to two fifths more activations. Two cores are busy with one product anyway.
IN_SEQUENCE: dict[str, str | bool] = {"xla_cpu_enable_concurrency_optimized_scheduler": False}
# XLA for CPUs drops the barriers that keep it from undoing activation checkpointing: see to it that
# it does not. (GPUs and TPUs keep them; pmap takes no such option.)
KEEP_BARRIERS: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}
Mode = Literal["jit", "pmap"]


def compiler_options(platform: str, *, remat: bool = False) -> dict[str, str | bool] | None:
    """Options of XLA for an update, or None for its defaults."""
    if platform != "cpu":
        return None
    return IN_SEQUENCE | (KEEP_BARRIERS if remat else {})


@dataclass(frozen=True)
class ParallelConfig:
    """The devices of an update; the result does not depend on them, except for pmap's dropout."""

    parallel: Mode = "jit"
    """`jit`: one program, the batch sharded over a mesh. `pmap`: one program a device."""
    devices: Count | None = None
    """How many devices to use; by default all."""
    remat: bool = False
    """Activation checkpointing: what a layer computes is not kept for the gradient but computed
    again. Less memory, about a third more work."""


class Parallel:
    """Places state and batches on the devices and compiles a step for them.

    Parameters are whole on every device (data parallelism), under both modes in the same layout:
    checkpoints and evaluation need not know which mode trained.

    Args:
        config: how many devices, and how they share a batch.
        devices: by default those of this machine, or of all hosts; for a plan, those of another.

    Raises:
        InputError: more devices are asked for than there are, or pmap over several hosts.
    """

    def __init__(self, config: ParallelConfig, devices: Sequence[Any] | None = None):
        found = jax.devices() if devices is None else devices
        self.count = config.devices or len(found)
        if self.count > len(found):
            raise InputError(
                f"--run.devices is {self.count} but this machine has {len(found)} "
                f"({found[0].device_kind}): ask for at most {len(found)}"
            )
        if jax.process_count() > 1:
            if config.parallel == "pmap":
                raise InputError(
                    f"--run.parallel pmap runs in one process, and this run has "
                    f"{jax.process_count()}: use --run.parallel jit"
                )
            if self.count < len(found):
                raise InputError(
                    f"--run.devices is {self.count} and the {jax.process_count()} processes of "
                    f"this run have {len(found)} devices: leave it out, every process takes part"
                )
        self.row_shares = self.count  # into how many parts the rows of a batch are divided
        self.mode = config.parallel
        self.compiler_options = compiler_options(found[0].platform, remat=config.remat)
        self.mesh = jax.make_mesh(
            (self.count,), (AXIS,), axis_types=(AxisType.Auto,), devices=found[: self.count]
        )
        self.replicated = NamedSharding(self.mesh, P())
        self.by_rows = NamedSharding(self.mesh, P(AXIS))
        self.by_micro_rows = NamedSharding(self.mesh, P(None, AXIS))

    def check_rows(self, batch_size: int, micro_batches: int, group_rows: int) -> None:
        """Raises InputError unless micro-batches, devices and mask groups divide the batch."""
        unit = micro_batches * self.row_shares * group_rows
        if batch_size % unit:
            parts = {
                "micro-batches": micro_batches,
                "devices": self.row_shares,
                "rows masked together (--masking.group-rows)": group_rows,
            }
            product = " x ".join(f"{number} {name}" for name, number in parts.items() if number > 1)
            raise InputError(
                f"--batch-size {batch_size} is not a multiple of {unit}: {product}; the nearest "
                f"that fits is {max(round(batch_size / unit), 1) * unit}"
            )

    def divisible(self, rows: int) -> int:
        """At least so many rows, and such that the devices share them evenly."""
        return -(-rows // self.count) * self.count

    def replicate(self, tree: Any) -> Any:
        """Copies of a tree on every device; what is there already stays."""

        def put(leaf: Any) -> Any:
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                # JAX moves keys only to devices of this process.
                words = jax.device_put(jax.random.key_data(leaf), self.replicated)
                return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
            return jax.device_put(leaf, self.replicated)

        return jax.tree.map(put, tree)

    def place_state(self, state: TrainState) -> TrainState:
        """The state of a run on the devices, whole on each."""
        return self.replicate(state)

    def place(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """This process's part of a batch, arrays [micro, rows, ...], on its devices."""
        if self.mode == "pmap":
            return {
                name: np.stack(np.split(array, self.count, axis=1)) for name, array in batch.items()
            }
        return {
            name: jax.make_array_from_process_local_data(self.by_micro_rows, array)
            for name, array in batch.items()
        }

    def place_rows(self, batch: dict[str, np.ndarray]) -> DeviceBatch:
        """A batch of arrays [rows, ...], such as an evaluation's, split by rows.

        Every process has all of the rows, and keeps those of its devices.
        """
        return {
            name: jax.make_array_from_process_local_data(self.by_rows, array, array.shape)
            for name, array in batch.items()
        }

    def compile(self, make: Callable[[str | None], Step]) -> Step:
        """The step of `make(axis_name)`, compiled; it consumes the state that it is given."""
        if self.mode == "pmap":
            return self._pmap(make(AXIS), donate_argnums=0)
        return self._jit(make(None), (self.replicated, self.replicated), donate_argnums=0)

    def compile_observation(self, make: Callable[[str | None], Observation]) -> Observation:
        """The function of `make(axis_name)`, compiled; it leaves the state as it is."""
        if self.mode == "pmap":
            return self._pmap(make(AXIS))
        # What it does not read, such as the optimizer's state, lies in memory all the same.
        return self._jit(make(None), self.replicated, keep_unused=True)

    def _pmap(self, function: Callable, **options: Any) -> Any:
        return jax.pmap(
            function,
            axis_name=AXIS,
            in_axes=(None, None, 0, None),
            out_axes=None,
            devices=list(self.mesh.devices.flat),
            **options,
        )

    def _jit(self, function: Callable, out_shardings: Any, **options: Any) -> Any:
        return jax.jit(
            function,
            out_shardings=out_shardings,
            compiler_options=self.compiler_options,
            **options,
        )


class StackParallel(Parallel):
    """The devices share the students of the stacks or, where they do not divide them, the rows.

    With a share of the students each device also asks the teacher itself, about all rows: but for
    the metrics nothing is communicated.

    Args:
        config: which devices.
        sizes: of the stacks.
    """

    def __init__(self, config: ParallelConfig, sizes: Sequence[int]):
        super().__init__(config)
        whole = all(size % self.count == 0 for size in sizes)
        self.by_students = whole and self.count > 1 and jax.process_count() == 1
        if self.by_students:
            self.row_shares = 1
        students = self.by_rows if self.by_students else self.replicated
        self.of_state = TrainState._make([students, students, self.replicated])

    def place_state(self, state: TrainState) -> TrainState:
        return TrainState(*map(jax.device_put, state, self.of_state))

    def place(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        return self.replicate(batch) if self.by_students else super().place(batch)

    def place_rows(self, batch: dict[str, np.ndarray]) -> DeviceBatch:
        return self.replicate(batch) if self.by_students else super().place_rows(batch)

    def compile(self, make: Callable[[str | None], Step]) -> Step:
        return self._jit(make(None), (self.of_state, self.replicated), donate_argnums=0)
