"""From a corpus to sequences on disk: tokenised once, memory-mapped ever after."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from filelock import FileLock
from rich.console import Console
from tokenizers import Tokenizer

from data.config import Mode
from data.cutting import Lines, Packed
from data.encode import Text, encode
from data.sequences import Sequences
from data.tokenizer import fingerprint as tokenizer_fingerprint
from data.tokenizer import special_ids
from model.errors import InputError

Split = Literal["train", "heldout"]
FORMAT = 1  # of the files and of the rules that make them; a new number leaves old caches behind


class Corpus(Protocol):
    """What is needed of a corpus here."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    def texts(self, split: Split) -> Iterator[Text]: ...


def prepare(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    mode: Mode,
    sequence_length: int,
    split: Split,
    cache: Path,
) -> Sequences:
    """The corpus's sequences, made on the first call and found in `cache` on every later one.

    Kept under a fingerprint of corpus, split, tokenizer and settings. They are written beside their
    place and moved there when complete: a killed run leaves only files that the next one removes.
    Two processes that want the same sequences wait for each other.

    Raises:
      InputError: the corpus does not fill one sequence, or the cache cannot be written.
    """
    settings = [FORMAT, corpus.fingerprint, tokenizer_fingerprint(tokenizer), mode, sequence_length]
    fingerprint = hashlib.sha256(json.dumps([*settings, split]).encode()).hexdigest()
    folder = cache / "sequences" / fingerprint[:24]
    with _writing(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    try:
        if not folder.exists():
            _make(folder, fingerprint, corpus, tokenizer, mode, sequence_length, split, cache)
    finally:
        lock.release()
    return Sequences.open(folder)


def _make(
    folder: Path,
    fingerprint: str,
    corpus: Corpus,
    tokenizer: Tokenizer,
    mode: Mode,
    sequence_length: int,
    split: Split,
    cache: Path,
) -> None:
    vocab_size = tokenizer.get_vocab_size()
    dtype = np.dtype("uint16" if vocab_size < 2**16 else "uint32")
    cutter = {"packed": Packed, "lines": Lines}[mode](
        special_ids(tokenizer), sequence_length, vocab_size
    )
    partial = folder.with_name(folder.name + ".partial")
    try:
        with _writing(cache):
            shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
            partial.mkdir()
            tokens_file = (partial / "tokens.bin").open("wb")
            offsets_file = (partial / "offsets.bin").open("wb")
            offsets_file.write(np.zeros(1, np.int64).tobytes())
        end, size, start = 0, 0, time.monotonic()
        with tokens_file, offsets_file:
            for batch in encode(corpus.texts(split), tokenizer):
                tokens, lengths = cutter.add(batch)
                with _writing(cache):
                    tokens_file.write(tokens.astype(dtype).tobytes())
                    offsets_file.write((end + np.cumsum(lengths)).tobytes())
                    tokens_file.flush()
                end += len(tokens)
                size += sum(len(piece.text.encode()) for piece, _ in batch)
        if end == 0:
            raise InputError(
                f"corpus {corpus.name}: its {split} text of {cutter.stats['tokens']} tokens fills "
                f"no sequence of {sequence_length}: give more text or a smaller sequence length"
            )
        seconds = time.monotonic() - start
        about = {
            "dtype": dtype.name,
            "sequence_length": sequence_length,
            "fingerprint": fingerprint,
            "stats": cutter.stats | {"bytes": size, "seconds": seconds},
        }
        with _writing(cache):
            np.save(partial / "counts.npy", cutter.counts)
            (partial / "sequences.json").write_text(json.dumps(about, indent=2))
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    Console(stderr=True).print(
        f"prepared {corpus.name} ({split}): {size / 1e6:.1f} MB of text in {seconds:.1f} s "
        f"({size / 1e6 / seconds:.1f} MB/s)"
    )


@contextmanager
def _writing(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"the cache {cache} cannot be written ({error.strerror}): free space there or choose "
            f"another folder with --data.cache"
        ) from None
