"""The data of a run, opened by its settings: corpus, tokenizer and the sequences of both splits."""

from dataclasses import dataclass

from tokenizers import Tokenizer

from data.config import DataConfig
from data.corpora.open import Corpus, open_corpus
from data.prepare import prepare_sequences
from data.sequences import Sequences
from data.tokenizer import open_tokenizer


@dataclass(frozen=True)
class Data:
    """The data of a run."""

    corpus: Corpus
    tokenizer: Tokenizer
    train: Sequences
    heldout: Sequences


def open_data(config: DataConfig) -> Data:
    """Opens the corpus, loads or trains the tokenizer, and prepares sequences not in the cache.

    Raises:
        InputError: the corpus, the tokenizer or the cache cannot be used.
    """
    corpus = open_corpus(config)
    tokenizer = open_tokenizer(config, corpus)
    train, heldout = (
        prepare_sequences(
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
