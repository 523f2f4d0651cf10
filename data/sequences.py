"""Prepared sequences on disk, appended batch by batch and read through a memory map."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from data.cutting import Cut
from data.storage.atomic import writing

Batch = dict[str, np.ndarray]
TokenIds = UInt16[np.ndarray, " tokens"] | UInt32[np.ndarray, " tokens"]
TEXTS_FILE = "texts.bin"


@dataclass(frozen=True)
class Sequences:
    """Token ids of all sequences, one after the other; only pages that were read are in memory."""

    tokens: TokenIds
    offsets: Int64[np.ndarray, " ends"]
    """The start of each sequence in `tokens`, and the end of the last."""
    counts: Int64[np.ndarray, " vocabulary"]
    """The number of times each token occurs in this split, before cutting and dropping. Masking
    weights and the unigram floor use those of the training split."""
    sequence_length: int
    """Tokens in a full sequence; none is longer."""
    fingerprint: str
    """A digest of corpus, split, tokenizer and settings."""
    stats: dict[str, Any]
    """Numbers of documents, texts, tokens and dropped tokens; bytes of text; seconds."""
    texts: Int64[np.ndarray, " texts"] | None = None
    """The start of each text in `tokens`, where a sequence may hold several."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> TokenIds:
        """The ids of one sequence, from its [CLS] to its [SEP]."""
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def gather(self, rows: Int64[np.ndarray, "*rows"], pad_id: int) -> Batch:
        """Many sequences, padded to `sequence_length`.

        Returns:
            input_ids int32, [*rows, length]. Sequences of several texts also have segments int32:
            the number of each token's text, from 1, and 0 on padding. Others have attention_mask
            bool, unless all of them are full.
        """
        starts, ends = self.offsets[rows][..., None], self.offsets[rows + 1][..., None]
        index = starts + np.arange(self.sequence_length)
        attended = index < ends
        ids = self.tokens[np.where(attended, index, starts)].astype(np.int32)
        batch = {"input_ids": np.where(attended, ids, np.int32(pad_id))}
        if self.texts is None:
            full = len(self.tokens) == len(self) * self.sequence_length
            return batch if full else batch | {"attention_mask": attended}
        number = np.searchsorted(self.texts, index, side="right")
        segments = np.where(attended, number - number[..., :1] + 1, 0)
        return batch | {"segments": segments.astype(np.int32)}


def write_tokens(folder: Path, cuts: Iterable[Cut], vocab_size: int) -> int:
    """Writes all sequences to `tokens.bin` and `offsets.bin`; returns their number.

    The starts of texts go to `texts.bin`, where sequences hold several.

    Raises:
        InputError: the disk is full.
    """
    dtype = _dtype(vocab_size)
    with writing(folder, "--data.cache"):
        tokens = (folder / "tokens.bin").open("wb", buffering=0)
        offsets = (folder / "offsets.bin").open("wb", buffering=0)
        _append(offsets, np.zeros(1, np.int64))
    sequences, end = 0, 0
    with tokens, offsets:
        for cut in cuts:
            with writing(folder, "--data.cache"):
                _append(tokens, cut.tokens.astype(dtype))
                _append(offsets, end + np.cumsum(cut.lengths))
                if cut.texts is not None:
                    with (folder / TEXTS_FILE).open("ab", buffering=0) as texts:
                        _append(texts, end + np.cumsum(cut.texts) - cut.texts)
            sequences += len(cut.lengths)
            end += len(cut.tokens)
    return sequences


def write_description(
    folder: Path, counts: np.ndarray, sequence_length: int, fingerprint: str, stats: dict[str, Any]
) -> None:
    """Writes the other files that `open_sequences` reads: counts, settings and statistics."""
    about = {"sequence_length": sequence_length, "fingerprint": fingerprint, "stats": stats}
    with writing(folder, "--data.cache"):
        np.save(folder / "counts.npy", counts)
        (folder / "sequences.json").write_text(json.dumps(about, indent=2), encoding="utf-8")


def open_sequences(folder: Path) -> Sequences:
    """The sequences of a folder as it was written, through a memory map."""
    about = json.loads((folder / "sequences.json").read_text(encoding="utf-8"))
    counts = np.load(folder / "counts.npy")
    offsets = _map(folder / "offsets.bin", np.dtype("int64"))
    tokens = _map(folder / "tokens.bin", _dtype(len(counts)))
    several = (folder / TEXTS_FILE).exists()
    texts = _map(folder / TEXTS_FILE, np.dtype("int64")) if several else None
    return Sequences(tokens, offsets, counts, **about, texts=texts)


def _append(file: FileIO, array: np.ndarray) -> None:
    # Unbuffered, so that a full disk fails here and not again when the file is closed. A write that
    # fits only in part raises nothing, so the rest is written again.
    left = memoryview(array.tobytes())
    while left:
        left = left[file.write(left) :]


def _dtype(vocab_size: int) -> np.dtype:
    return np.dtype("uint16" if vocab_size < 2**16 else "uint32")


def _map(path: Path, dtype: np.dtype) -> np.ndarray:
    # A plain array over the map: every index into an np.memmap costs microseconds more.
    return np.memmap(path, dtype=dtype, mode="r").view(np.ndarray)
