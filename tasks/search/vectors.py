"""Vectors of documents on disk, read a part at a time."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from data.storage.atomic import writing
from model.errors import InputError


class StoredVectors:
    """Rows of a .npy file; each part has a memory map of its own, which ends with its use."""

    def __init__(self, file: Path):
        whole = np.load(file, mmap_mode="r")
        self.shape, self.dtype, self._offset = whole.shape, whole.dtype, whole.offset
        self._file = file

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        offset = self._offset + start * self.shape[1] * self.dtype.itemsize
        return np.memmap(self._file, self.dtype, "r", offset, (stop - start, self.shape[1]))


def write_vectors(
    file: Path,
    shape: tuple[int, int],
    dtype: Any,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    flag: str | None,
) -> None:
    """Writes a .npy file of that shape from rows that come in any order, each with its place.

    `batches` are places, int [batch], and vectors, float [batch, width].

    Raises:
        InputError: a number is too large for `dtype`, or the disk refuses: `flag` names another.
    """
    kind = np.dtype(dtype)
    size = shape[1] * kind.itemsize
    header = {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    # Not into a memory map: where the disk is full, that ends the process. What `batches` read has
    # sentences of its own.
    with writing(file, flag), file.open("wb") as stream:
        npy.write_array_header_1_0(stream, header)
        start = stream.tell()
        for places, vectors in batches:
            with np.errstate(over="ignore"):
                kept = vectors.astype(kind)
            if not np.isfinite(kept).all():
                raise InputError(
                    f"a vector holds {np.abs(vectors).max():.3g}, which {kind} cannot: "
                    "give --vectors float32"
                )
            for place, row in zip(places.tolist(), kept, strict=True):
                stream.seek(start + place * size)
                stream.write(row.tobytes())
