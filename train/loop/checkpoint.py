"""Checkpoints: parameters, optimizer, step and the whole configuration, saved together by Orbax.

Orbax checks the index of its files and not the arrays in them: a bit that flips on the disk would
be restored as other weights. So every checkpoint holds a digest of each array and is verified
before it is used.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import xxhash
from etils import epath
from jax.experimental import multihost_utils

from data.storage.mirror import address
from data.storage.run_folder import METRICS
from model.errors import InputError, first_line
from model.terminal import say
from train.loop import orbax_errors
from train.loop.metric_log import Extent
from train.update.step import TrainState


class Checkpoints:
    """The last `keep` checkpoints of a run, in `folder`/checkpoints.

    Orbax writes each to a temporary folder and renames it when it is whole: a process killed while
    saving leaves the checkpoint before.
    """

    def __init__(self, folder: Path, *, keep: int = 2):
        self.extent: Extent | None = None
        """Of the metrics that belong to the checkpoint that was restored."""
        # Orbax writes to object storage itself.
        self.folder = epath.Path(address(folder) or folder.absolute()) / "checkpoints"
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                cleanup_tmp_directories=True,
                enable_async_checkpointing=True,
                # Else all that writes waits for folders that the disk refuses: 20 minutes each.
                async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
            ),
        )

    def latest(self) -> int | None:
        """The step of the newest whole checkpoint."""
        return self._manager.latest_step()

    def save(self, state: TrainState, config: Mapping[str, Any], extent: Extent) -> None:
        """Saves in the background; the state may be donated to the next step at once.

        Args:
            state: of the training.
            config: of the run.
            extent: of the metrics up to now.

        Raises:
            InputError: this checkpoint, or the one before, could not be written.
        """
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            config=ocp.args.JsonSave(dict(config)),
            digests=ocp.args.JsonSave({**digests(state), METRICS: extent}),
        )
        self._explained(lambda: self._manager.save(int(state.step), args=arguments))

    def restore(self, like: TrainState) -> TrainState:
        """The newest undamaged checkpoint, with the shapes and the placement of `like`.

        `like` is consumed. Newer checkpoints that are damaged are named and moved aside, on all
        processes alike: a checkpoint counts only if every process could verify it.

        Raises:
            InputError: no checkpoint is undamaged.
        """
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        # As the first update of a fresh run does: else both would stay on the devices to the end.
        jax.tree.map(lambda leaf: leaf.delete(), like)
        damages: dict[int, str] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            restored, damage = self._verified(step, target)
            if _everywhere(damage is None):
                assert restored is not None
                self._set_aside(damages, step)
                return jax.tree.map(_place, restored, target)
            damages[step] = damage or "another process of this run cannot read it"
        found = "; ".join(f"{step}: {damage}" for step, damage in damages.items())
        raise InputError(
            f"no checkpoint in {self.folder} can be used ({found}): put back a copy, or remove "
            "that folder to begin the run again"
        )

    def close(self) -> None:
        """Waits until everything is on disk; not where the devices have failed: it never would."""
        if isinstance(sys.exc_info()[1], jax.errors.JaxRuntimeError):
            orbax_errors.release()
            return
        self._explained(self._manager.wait_until_finished)
        orbax_errors.release()  # not sooner: a save that has failed is raised only here
        self._manager.close()

    def _verified(self, step: int, target: TrainState) -> tuple[TrainState | None, str | None]:
        """A checkpoint as arrays on this host, or what is wrong with it.

        Every process reads it by itself, so that none waits for one that fails.
        """
        folder, alone = self.folder / str(step), _this_process()
        arrays = ocp.Checkpointer(
            ocp.PyTreeCheckpointHandler(multiprocessing_options=alone),
            multiprocessing_options=alone,
        )
        kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), target)
        records = ocp.Checkpointer(
            ocp.JsonCheckpointHandler(multiprocessing_options=alone),
            multiprocessing_options=alone,
        )
        try:
            expected = records.restore(folder / "digests", args=ocp.args.JsonRestore())
            size, digest = expected[METRICS]
            state = arrays.restore(
                folder / "state", args=ocp.args.PyTreeRestore(item=target, restore_args=kinds)
            )
        except Exception as error:  # damaged files raise almost anything in the readers' depths
            orbax_errors.release(error)
            return None, f"it cannot be read ({first_line(error)})"
        if int(state.step) != step:
            return None, f"it holds step {int(state.step)}"
        differing = [
            name for name, digest in digests(state).items() if expected.get(name) != digest
        ]
        if differing:
            return None, f"{differing[0]} differs from what was saved"
        self.extent = size, digest
        return state, None

    def _set_aside(self, damages: Mapping[int, str], good: int) -> None:
        """Moves damaged checkpoints out of the way of those that will be saved."""
        for step, damage in damages.items():
            aside = self.folder.parent / "damaged-checkpoints" / str(step)
            if jax.process_index() == 0:
                aside.parent.mkdir(parents=True, exist_ok=True)
                if aside.exists():
                    aside.rmtree()
                (self.folder / str(step)).rename(aside)
                say(
                    f"checkpoint {step} is damaged: {damage}. It is now {aside}; the run resumes "
                    f"from checkpoint {good}"
                )
        if damages:
            _everywhere(True)  # moved before any process looks
            self._manager.reload()

    def _explained(self, action: Callable[[], object]) -> None:
        try:
            action()
        except jax.errors.JaxRuntimeError:  # at a barrier: another process is lost
            orbax_errors.release()
            raise
        except Exception as error:  # tensorstore raises its own kinds, the disk OSError
            orbax_errors.release(error)
            # A long message ends with the reason, after the names of many folders.
            reason = orbax_errors.disk_refusal(error) or first_line(error)[-200:]
            raise InputError(
                f"a checkpoint could not be saved in {self.folder} ({reason}): make room or mend "
                "the folder, then the same command resumes from the last whole checkpoint"
            ) from error


def digests(state: TrainState) -> dict[str, str]:
    """The 128-bit xxHash of every array by its path, of type, shape and bytes."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            leaf = leaf.addressable_data(0)  # of several processes each has a whole copy
        array = np.ascontiguousarray(leaf)
        digest = xxhash.xxh3_128(f"{array.dtype}{np.shape(leaf)}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
        found[jax.tree_util.keystr(path)] = digest.hexdigest()
    return found


def _place(array: np.ndarray, like: jax.ShapeDtypeStruct) -> jax.Array:
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: array[index])


def _this_process() -> ocp.options.MultiprocessingOptions:
    index = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"verify-{index}"
    )


def _everywhere(holds: bool) -> bool:
    """True if something holds on every process of the run."""
    if jax.process_count() == 1:
        return holds
    return bool(np.all(multihost_utils.process_allgather(np.asarray(holds))))
