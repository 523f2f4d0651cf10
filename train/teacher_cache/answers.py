"""The stored answers: where each lies, and those to the sequences of a batch."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from data.sequences import Batch, Sequences
from model.errors import InputError
from train.objectives.stored import StoredColumns

FLAG = "--teacher-cache"
SHARD_BYTES = 1 << 27
"""About the size of a shard."""


class Shard(NamedTuple):
    """A folder with the answers to some sequences under one set of masks."""

    folder: Path
    masks: int
    sequences: range


@dataclass(frozen=True)
class Shards:
    """The division of the answers into shards.

    It depends on nothing but the text and the columns, so that any machine can write the rest.
    """

    folder: Path
    sequences: Sequences
    columns: StoredColumns
    mask_sets: int

    @property
    def token_bytes(self) -> int:
        """Bytes on the disk for one token under one set of masks."""
        return sum(column.size * column.dtype.itemsize for column in self.columns.values())

    @property
    def total_bytes(self) -> int:
        """Bytes on the disk for all."""
        return self.mask_sets * len(self.sequences.tokens) * self.token_bytes

    @property
    def rows(self) -> int:
        """The sequences of a shard; the last one has fewer."""
        return max(SHARD_BYTES // (self.sequences.sequence_length * self.token_bytes), 1)

    def all(self) -> list[Shard]:
        """Every shard, set after set."""
        count, rows = len(self.sequences), self.rows
        return [
            Shard(self.place(masks, start), masks, range(start, min(start + rows, count)))
            for masks in range(self.mask_sets)
            for start in range(0, count, rows)
        ]

    def place(self, masks: int, sequence: int) -> Path:
        """The folder of the shard that has this sequence under this set of masks."""
        return self.folder / f"{masks}-{sequence // self.rows:05}"


@dataclass(frozen=True)
class StoredAnswers:
    """The answers that batches hold beside their text, so that no teacher has to be asked."""

    shards: Shards
    digest: str
    """Of all that the answers depend on."""

    def beside(self, chosen: Int[np.ndarray, "*rows"], epochs: Int[np.ndarray, "*rows"]) -> Batch:
        """The answers to sequences, each under the masks of its epoch.

        Returns:
            row int32 [*rows]: the number of the stored row, which its masks are drawn by; and of
            every column an array [*rows, length, ...], 0 at padding.
        """
        shards, sequences = self.shards, self.shards.sequences
        masks = epochs % shards.mask_sets
        batch = {
            name: np.zeros((*chosen.shape, sequences.sequence_length, *column.shape), column.dtype)
            for name, column in shards.columns.items()
        }
        for place in np.ndindex(chosen.shape):
            sequence = int(chosen[place])
            folder = shards.place(int(masks[place]), sequence)
            first = sequences.offsets[sequence // shards.rows * shards.rows]
            start, end = sequences.offsets[sequence : sequence + 2] - first
            for name, column in shards.columns.items():
                stored = _tokens(folder / f"{name}.bin", column, int(start), int(end))
                batch[name][place][: end - start] = stored
        return batch | {"row": stored_rows(chosen, masks, len(sequences))}


def _tokens(file: Path, column: jax.ShapeDtypeStruct, start: int, end: int) -> np.ndarray:
    """A part of the tokens of a file; only what is asked for is read, and no file stays open."""
    size = column.size * column.dtype.itemsize
    try:
        values = np.fromfile(file, column.dtype, (end - start) * column.size, offset=start * size)
        return values.reshape(end - start, *column.shape)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} was changed while a run read it: the same command makes it again and resumes"
        ) from error


def stored_rows(
    chosen: Int[np.ndarray, "*rows"], masks: int | Int[np.ndarray, "*rows"], sequences: int
) -> Int[np.ndarray, "*rows"]:
    """The number of a sequence under a set of masks, among all of these pairs."""
    return (masks * sequences + chosen).astype(np.int32)
