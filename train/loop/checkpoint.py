"""Checkpoints: parameters, optimizer, step and the whole configuration, saved together by Orbax."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from data.storage.mirror import address
from model.errors import InputError, first_line
from train.update.step import TrainState

# Orbax tells every step of its work; a user wants to hear of failures.
logging.getLogger("absl").setLevel(logging.ERROR)


class Checkpoints:
    """The last `keep` checkpoints of a run, in `folder`/checkpoints.

    Orbax writes each to a temporary folder and renames it when it is whole: a process killed while
    saving leaves the checkpoint before.
    """

    def __init__(self, folder: Path, *, keep: int = 2):
        # Orbax writes to object storage itself.
        self.folder = epath.Path(address(folder) or folder.absolute()) / "checkpoints"
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep, cleanup_tmp_directories=True, enable_async_checkpointing=True
            ),
        )

    def latest(self) -> int | None:
        """The step of the newest whole checkpoint."""
        return self._manager.latest_step()

    def save(self, state: TrainState, config: Mapping[str, Any]) -> None:
        """Saves in the background; the state may be donated to the next step at once.

        Raises:
            InputError: this checkpoint, or the one before, could not be written.
        """
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(state), config=ocp.args.JsonSave(dict(config))
        )
        self._explained(lambda: self._manager.save(int(state.step), args=arguments))

    def restore(self, like: TrainState) -> TrainState:
        """The newest checkpoint, with the shapes and the placement of `like`, which it consumes.

        Raises:
            InputError: it cannot be read.
        """
        step = self.latest()
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        # As the first update of a fresh run does: else both would stay on the devices to the end.
        jax.tree.map(lambda leaf: leaf.delete(), like)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(target))
        try:
            return self._manager.restore(step, args=arguments)["state"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"the checkpoint {self.folder / str(step)} cannot be read "
                f"({first_line(error)}): remove that folder to go on from the one before"
            ) from error

    def close(self) -> None:
        """Waits until everything is on disk; not where the devices have failed: it never would."""
        if isinstance(sys.exc_info()[1], jax.errors.JaxRuntimeError):
            return
        self._explained(self._manager.wait_until_finished)
        self._manager.close()

    def _explained(self, action) -> None:
        try:
            action()
        except jax.errors.JaxRuntimeError:  # at a barrier: another process is lost
            raise
        except Exception as error:  # tensorstore raises its own kinds, the disk OSError
            reason = first_line(error)[-200:]  # after the names of many folders
            raise InputError(
                f"a checkpoint could not be saved in {self.folder} ({reason}): make room or mend "
                "the folder, then the same command goes on from the last whole checkpoint"
            ) from error
