"""From the data settings to sequences: corpus, tokenizer and both splits, ready to be batched."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from data.cache import make_once, writing
from data.config import DataConfig
from data.corpora import Corpus, open_corpus
from data.prepare import Sequences, prepare
from data.tokenizer import load_tokenizer, save_tokenizer, train_wordpiece
from model.errors import InputError

LEARN = "wordpiece:"


@dataclass(frozen=True)
class Data:
    """What a loop reads."""

    corpus: Corpus
    tokenizer: Tokenizer
    train: Sequences
    heldout: Sequences


def open_data(config: DataConfig) -> Data:
    """Opens the corpus, loads or trains the tokenizer, and prepares what is not prepared yet.

    Raises:
        InputError: the corpus, the tokenizer or the cache cannot be used.
    """
    corpus = open_corpus(config)
    tokenizer = open_tokenizer(config, corpus)
    train, heldout = (
        prepare(
            corpus,
            tokenizer,
            mode=config.mode,
            sequence_length=config.sequence_length,
            split=split,
            cache=config.cache,
        )
        for split in ("train", "heldout")
    )
    return Data(corpus, tokenizer, train, heldout)


def open_tokenizer(config: DataConfig, corpus: Corpus) -> Tokenizer:
    """The tokenizer that `config.tokenizer` names; `wordpiece:SIZE` is learned from the corpus.

    A learned one is kept in the cache under the corpus's fingerprint.
    """
    name = config.tokenizer
    if name is None:
        raise InputError("--data.tokenizer is missing: give a folder, a hub name or wordpiece:8192")
    if not name.startswith(LEARN):
        return load_tokenizer(name)
    size = name.removeprefix(LEARN)
    if not size.isdecimal():
        raise InputError(
            f"--data.tokenizer {name}: after {LEARN} comes the number of pieces, as 8192"
        )
    key = hashlib.sha256(f"{corpus.fingerprint} {size}".encode()).hexdigest()[:24]

    def learn(folder: Path) -> None:
        tokenizer = train_wordpiece((text.text for text in corpus.texts("train")), int(size))
        with writing(config.cache):
            save_tokenizer(tokenizer, folder)

    return load_tokenizer(make_once(config.cache / "tokenizers" / key, learn))
