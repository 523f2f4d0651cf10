"""The data of a run, opened by its settings: corpus, vocabulary, sequences of both splits."""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from data.config import DataConfig
from data.corpora.leaks import Leaks, count_leaks
from data.corpora.open import Corpus, open_corpus
from data.prepare import prepare_sequences
from data.sequences import Sequences
from data.storage.atomic import write_text
from data.storage.cache import make_once
from data.tokenizer import load_vocabulary, save_vocabulary
from data.vocabulary import Vocabulary
from data.wordpiece import train_wordpiece
from model.errors import InputError
from model.hf.config import read_settings
from model.terminal import say

LEAKS = "leaks.json"


@dataclass(frozen=True)
class Data:
    """The data of a run."""

    corpus: Corpus
    vocabulary: Vocabulary
    train: Sequences
    heldout: Sequences


def open_data(config: DataConfig) -> Data:
    """Opens the corpus, loads or learns the vocabulary, and prepares sequences not in the cache.

    Only training sequences hold several texts: the metrics of held-out text do not depend on that.

    It says which files of a folder are passed over, and how much of the held-out text is in the
    training text too.

    Raises:
        InputError: the corpus, the tokenizer or the cache cannot be used.
    """
    corpus = open_corpus(config)
    vocabulary = open_vocabulary(config, corpus)
    train, heldout = (
        prepare_sequences(
            corpus,
            vocabulary,
            mode=config.mode,
            sequence_length=config.sequence_length,
            split=split,
            several=config.shares_sequences and split == "train",
            cache=config.cache,
        )
        for split in ("train", "heldout")
    )
    say(*corpus.notes)
    leaks = leaks_of(corpus, config.cache)
    if leaks.leaked:
        say(f"{corpus.name}: {leaks}")
    return Data(corpus, vocabulary, train, heldout)


def open_other_heldout(
    config: DataConfig, names: tuple[str, ...], vocabulary: Vocabulary
) -> Sequences:
    """Sequences of other text to evaluate on, which `names` as --data.heldout does.

    Raises:
        InputError: the text or the cache cannot be used.
    """
    settings = replace(config, heldout=names, size_exponent=1.0)
    return prepare_sequences(
        replace(open_corpus(settings), name=" + ".join(names)),
        vocabulary,
        mode=config.mode,
        sequence_length=config.sequence_length,
        split="heldout",
        cache=config.cache,
    )


def leaks_of(corpus: Corpus, cache: Path) -> Leaks:
    """The held-out lines that are in the training text too, counted once and kept in the cache."""
    whole = replace(corpus, heldout_part="all")

    def make(folder: Path) -> None:
        counted = count_leaks(whole.texts("heldout"), whole.texts("train"))
        write_text(folder / LEAKS, json.dumps(counted._asdict()))

    folder = make_once(cache / "leaks" / corpus.fingerprint[:24], make)
    return Leaks(**read_settings(folder / LEAKS))


def open_vocabulary(config: DataConfig, corpus: Corpus) -> Vocabulary:
    """The vocabulary that the settings name, which may be one to learn from the corpus.

    `wordpiece:8192` stands for a lowercased vocabulary of 8,192 pieces learned from the corpus's
    training text, `wordpiece:8192:cased` for a cased one. It is learned once and kept in the cache.

    Raises:
        InputError: none is named, or what is named cannot be used.
    """
    name = config.tokenizer
    if name is None:
        raise InputError("--data.tokenizer is missing: name one, or wordpiece:8192 to learn one")
    if not name.startswith("wordpiece:"):
        return load_vocabulary(name)
    wanted = re.fullmatch(r"wordpiece:([1-9]\d{0,6})(:cased)?", name, re.ASCII)
    if wanted is None:
        raise InputError(
            f"--data.tokenizer {name}: after wordpiece: comes the number of pieces, below 10 "
            f"million, as in wordpiece:8192 or wordpiece:8192:cased"
        )

    def make(folder: Path) -> None:
        texts = (text.text for text in corpus.texts("train"))
        save_vocabulary(train_wordpiece(texts, int(wanted[1]), lowercase=wanted[2] is None), folder)

    key = hashlib.sha256(f"{corpus.fingerprint} {name}".encode()).hexdigest()
    return load_vocabulary(make_once(config.cache / "tokenizers" / key[:24], make))
