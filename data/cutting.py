"""Sequences cut from a corpus's token ids: `packed`, or `lines` as in the original."""

from typing import NamedTuple

import numpy as np

from data.tokenise import Encoded
from data.vocabulary import SpecialIds
from model.errors import InputError

SHORTEST = 12  # tokens, with [CLS] and [SEP]: the original drops shorter sequences


class Cut(NamedTuple):
    """Sequences one after the other, each from its [CLS] to its [SEP]."""

    tokens: np.ndarray  # uint32 [sum of lengths]
    lengths: np.ndarray  # int64 [sequences]
    texts: np.ndarray | None = None  # int64 [texts]: their lengths, where a sequence has several


class Packed:
    """Documents joined, a [SEP] between them, and cut into full sequences.

    A sequence is [CLS], `sequence_length - 2` tokens of the stream, [SEP]; nothing is padded. It
    may hold the end of one document and the start of the next, and attention crosses the border.
    The tail of the corpus that fills no sequence is dropped.
    """

    def __init__(self, special: SpecialIds, sequence_length: int, vocab_size: int):
        if sequence_length < 3:
            raise InputError(
                f"a sequence length of {sequence_length} leaves no room for text beside [CLS] and "
                f"[SEP]: give at least 3"
            )
        self.special, self.sequence_length = special, sequence_length
        self.counts = np.zeros(vocab_size, np.int64)
        self.stats = {"documents": 0, "texts": 0, "tokens": 0, "dropped_tokens": 0}
        self._rest = np.empty(0, np.uint32)
        self._document: str | None = None

    def add(self, batch: list[Encoded]) -> Cut:
        """The sequences that these texts complete."""
        separator = np.asarray([self.special.sep], np.uint32)
        stream = [self._rest]
        for piece, ids in batch:
            self.stats["texts"] += piece.ends_text
            if len(ids) == 0:
                continue
            if piece.document != self._document:
                if self._document is not None:
                    stream.append(separator)
                self._document = piece.document
                self.stats["documents"] += 1
            stream.append(ids)
        joined = np.concatenate(stream)
        new = joined[len(self._rest) :]
        self.counts += np.bincount(new, minlength=len(self.counts))
        self.stats["tokens"] += len(new)

        inner = self.sequence_length - 2
        full, tail = divmod(len(joined), inner)
        rows = np.empty((full, self.sequence_length), np.uint32)
        rows[:, 0] = self.special.cls
        rows[:, 1:-1] = joined[: full * inner].reshape(full, inner)
        rows[:, -1] = self.special.sep
        self._rest = joined[full * inner :]
        self.stats["dropped_tokens"] = tail
        return Cut(rows.reshape(-1), np.full(full, self.sequence_length))


class Lines:
    """One sequence for each text, by the rules of the original's `lm_seqs_dataset.py`.

    First the unigrams are counted, over [CLS] text [SEP] of every text. A sequence above the
    maximum is then cut, with its [CLS] and [SEP], into chunks of `sequence_length - 2`, and a chunk
    that lacks [CLS] or [SEP] gets it. Last, sequences of 11 tokens or fewer are dropped, and those
    of which half or more is [UNK].
    """

    def __init__(self, special: SpecialIds, sequence_length: int, vocab_size: int):
        if sequence_length < SHORTEST:
            raise InputError(
                f"a sequence length of {sequence_length} in `lines` mode drops every text, as "
                f"sequences below {SHORTEST} tokens are dropped: give at least {SHORTEST}"
            )
        self.special, self.sequence_length = special, sequence_length
        self.counts = np.zeros(vocab_size, np.int64)
        stats = ("documents", "texts", "tokens", "cut_texts", "dropped_short", "dropped_unknown")
        self.stats = dict.fromkeys(stats, 0)
        self._pieces: list[np.ndarray] = []
        self._document: str | None = None

    def add(self, batch: list[Encoded]) -> Cut:
        """The sequences of the texts that end here."""
        cls, sep = np.asarray([[self.special.cls], [self.special.sep]], np.uint32)
        texts = []
        for piece, ids in batch:
            if piece.document != self._document:
                self._document = piece.document
                self.stats["documents"] += 1
            self._pieces.append(ids)
            if piece.ends_text:
                texts.append(np.concatenate([cls, *self._pieces, sep]))
                self._pieces = []
        joined = np.concatenate([np.empty(0, np.uint32), *texts])
        self.counts += np.bincount(joined, minlength=len(self.counts))
        self.stats["texts"] += len(texts)
        self.stats["tokens"] += len(joined)

        kept = [sequence for text in texts for sequence in self._cut(text) if self._keep(sequence)]
        lengths = np.asarray([len(sequence) for sequence in kept], np.int64)
        return Cut(np.concatenate([np.empty(0, np.uint32), *kept]), lengths)

    def _cut(self, text: np.ndarray) -> list[np.ndarray]:
        if len(text) <= self.sequence_length:
            return [text]
        self.stats["cut_texts"] += 1
        chunks = []
        for start in range(0, len(text), self.sequence_length - 2):
            chunk = text[start : start + self.sequence_length - 2]
            if chunk[0] != self.special.cls:
                chunk = np.insert(chunk, 0, self.special.cls)
            if chunk[-1] != self.special.sep:
                chunk = np.append(chunk, np.uint32(self.special.sep))
            chunks.append(chunk)
        return chunks

    def _keep(self, sequence: np.ndarray) -> bool:
        if len(sequence) < SHORTEST:
            self.stats["dropped_short"] += 1
            return False
        if 2 * np.count_nonzero(sequence == self.special.unk) >= len(sequence):
            self.stats["dropped_unknown"] += 1
            return False
        return True
