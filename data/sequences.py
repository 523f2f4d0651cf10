"""Prepared sequences on disk, read through a memory map."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt16, UInt32


@dataclass(frozen=True)
class Sequences:
    """Token ids of all sequences, one after the other; only the pages looked at are in memory."""

    tokens: UInt16[np.ndarray, " tokens"] | UInt32[np.ndarray, " tokens"]
    offsets: Int64[np.ndarray, " sequences+1"]
    """Where each sequence starts in `tokens`; the last entry is the end."""
    counts: Int64[np.ndarray, " vocabulary"]
    """How often each token occurs in the text of this split, before cutting and dropping. Masking
    and the unigram floor take those of the training split."""
    sequence_length: int
    """Tokens in a full sequence; no sequence is longer."""
    fingerprint: str
    """Of corpus, split, tokenizer and settings."""
    stats: dict[str, Any]
    """Documents, texts, tokens, what was dropped, bytes of text, seconds."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """The ids of one sequence, from its [CLS] to its [SEP]."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    def gather(
        self, rows: Int64[np.ndarray, "*rows"], pad_id: int
    ) -> tuple[Int32[np.ndarray, "*rows length"], Bool[np.ndarray, "*rows length"]]:
        """Several sequences at once, padded to `sequence_length`: ids and attention mask."""
        starts = self.offsets[rows][..., None]
        index = starts + np.arange(self.sequence_length)
        attended = index < self.offsets[rows + 1][..., None]
        ids = self.tokens[np.where(attended, index, starts)].astype(np.int32)
        ids[~attended] = pad_id
        return ids, attended

    @classmethod
    def open(cls, folder: Path) -> "Sequences":
        """What `prepare` wrote."""
        about = json.loads((folder / "sequences.json").read_text())
        return cls(
            tokens=_map(folder / "tokens.bin", about.pop("dtype")),
            offsets=_map(folder / "offsets.bin", "int64"),
            counts=np.load(folder / "counts.npy"),
            **about,
        )


def _map(path: Path, dtype: str) -> np.ndarray:
    # A plain array over the map: indexing a np.memmap costs several times as much.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r")).view(np.ndarray)
