"""Sequences of a corpus, tokenised once and memory-mapped from then on."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from data.clock import seconds_since
from data.config import SequenceMode
from data.corpora.heldout import Split
from data.corpora.open import Corpus
from data.cutting import Lines, Packed
from data.packing import pack
from data.sequences import Sequences, open_sequences, write_description, write_tokens
from data.storage.cache import make_once
from data.tokenise import Encoded, join_neighbours, tokenise
from data.vocabulary import Vocabulary
from model.errors import InputError
from model.terminal import say

FORMAT = 1  # of the files and of the rules of cutting: with a new number older caches are unused
LINE_EVERY = 10.0  # seconds between lines of progress


def prepare_sequences(
    corpus: Corpus,
    vocabulary: Vocabulary,
    *,
    mode: SequenceMode,
    sequence_length: int,
    split: Split,
    several: bool = False,
    cache: Path,
) -> Sequences:
    """The corpus's sequences, made on the first call and read from `cache` on later ones.

    They are kept under a digest of corpus, vocabulary and settings. Memory does not grow with the
    corpus. `data.cutting` describes the modes; `sequence_length` includes [CLS] and [SEP]. With
    `several` a sequence holds as many of those that the mode makes as there is room for.

    Raises:
        InputError: the text does not fill one sequence, or the cache cannot be written.
    """
    settings = (FORMAT, corpus.fingerprint, vocabulary.fingerprint, mode, sequence_length, split)
    if several:
        settings += ("several",)
    if split == "heldout" and corpus.heldout_part != "all":
        settings += (corpus.heldout_part,)
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()

    def make(folder: Path) -> None:
        cut = {"packed": Packed, "lines": Lines}[mode]
        cutter = cut(vocabulary.special, sequence_length, vocabulary.size)
        speed: dict[str, Any] = {}

        def encoded() -> Iterator[list[Encoded]]:
            for texts, joins in corpus.streams(split):
                batches = tokenise(texts, vocabulary.tokenizer)
                yield from join_neighbours(batches, sequence_length - 2) if joins else batches

        batches = _reported(encoded(), f"{corpus.name} {split}", speed)
        cuts = map(cutter.add, batches)
        if several:
            cuts = pack(cuts, sequence_length)
        sequences = write_tokens(folder, cuts, vocabulary.size)
        if sequences == 0:
            raise InputError(
                f"corpus {corpus.name}: the {cutter.stats['tokens']} tokens of its {split} text "
                f"make no sequence of {sequence_length} in {mode} mode: give more text or a "
                f"smaller --data.sequence-length"
            )
        stats = {"sequences": sequences, **cutter.stats, **speed}
        write_description(folder, cutter.counts, sequence_length, digest, stats)

    return open_sequences(make_once(cache / "sequences" / digest[:24], make))


def _reported(
    batches: Iterable[list[Encoded]], title: str, speed: dict[str, Any]
) -> Iterator[list[Encoded]]:
    """Passes the batches on, prints their progress to stderr, and puts the totals into `speed`."""
    size, start = 0, time.perf_counter()
    printed = start

    def line() -> str:
        megabytes, seconds = size / 1e6, seconds_since(start)
        return f"tokenised {title}: {megabytes:.1f} MB, {megabytes / seconds:.1f} MB/s"

    for batch in batches:
        size += sum(len(piece.text.encode()) for piece, _ in batch)
        if seconds_since(printed) > LINE_EVERY:
            printed = time.perf_counter()
            say(line(), error=True)
        yield batch
    say(line(), error=True)
    speed.update(bytes=size, seconds=seconds_since(start))
