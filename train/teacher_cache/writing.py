"""A teacher that reads text under the masks of stored rows, and writes its answers."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Int

from data.open import Data
from data.storage.atomic import writing
from model.tasks import MaskedLM
from train.command.signals import stop_if_asked
from train.config import DistillConfig
from train.objectives.distillation import MaskedLMObjective
from train.objectives.objective import DeviceBatch
from train.objectives.stored import StoredColumns, stored_masks_key, to_store
from train.teacher_cache.answers import FLAG, Shard, stored_rows
from train.update.parallel import Parallel
from train.update.step import split

TEACHER_ROWS = 64
"""Sequences that are read together."""


class Writer:
    """Writes the answers of a teacher to the training text; the devices share the rows."""

    def __init__(
        self, config: DistillConfig, teacher: MaskedLM, data: Data, columns: StoredColumns
    ):
        self.sequences, self.special = data.train, data.vocabulary.special
        self.structure, self.params = split(teacher)
        self.columns = columns
        self.objective = MaskedLMObjective(self.structure, config.masking, self.special.mask)
        self.parallel = Parallel(config.run)
        self.rows = self.parallel.divisible(TEACHER_ROWS)
        own = self.objective.constants(data.train.counts, self.special)
        self.constants = self.parallel.replicate({**own, "teacher": self.params})
        self._masked, self._answers = jax.jit(self._mask), jax.jit(self._ask)

    def some_masked_text(self) -> np.ndarray:
        """Rows from the whole text as the first set masks them here, [rows, length]."""
        spread = np.linspace(0, len(self.sequences) - 1, TEACHER_ROWS).round().astype(np.int64)
        return np.asarray(
            self._masked(self.constants, self._placed(spread, 0))["input_ids"][:TEACHER_ROWS]
        )

    def write(self, shard: Shard, folder: Path) -> None:
        """Writes the columns of a shard, each into a file, tokens without padding.

        Raises:
            InputError: the disk refuses.
            Stopped: a signal came.
        """
        for start in range(0, len(shard.sequences), self.rows):
            stop_if_asked()
            chosen = np.asarray(shard.sequences[start : start + self.rows])
            answers = self._answers(self.constants, self._placed(chosen, shard.masks))
            lengths = self.sequences.offsets[chosen + 1] - self.sequences.offsets[chosen]
            attended = np.arange(self.sequences.sequence_length) < lengths[:, None]
            for name, column in jax.device_get(answers).items():
                with writing(folder, FLAG), (folder / f"{name}.bin").open("ab") as file:
                    file.write(column[: len(chosen)][attended].tobytes())

    def _placed(self, chosen: Int[np.ndarray, " rows"], masks: int) -> DeviceBatch:
        """Sequences on the devices, filled up to a whole batch."""
        rows = np.resize(chosen, self.rows)
        batch = self.sequences.gather(rows, self.special.pad)
        numbers = stored_rows(rows, masks, len(self.sequences))
        return self.parallel.place_rows(batch | {"row": numbers})

    def _mask(self, constants: Any, batch: DeviceBatch) -> DeviceBatch:
        micro = {name: array[None] for name, array in batch.items()}
        masked = self.objective.prepare(constants, micro, stored_masks_key())
        return {name: array[0] for name, array in masked.items()}

    def _ask(self, constants: Any, batch: DeviceBatch) -> DeviceBatch:
        teacher = nnx.merge(self.structure, constants["teacher"])
        return to_store(teacher, self._mask(constants, batch), self.columns)
