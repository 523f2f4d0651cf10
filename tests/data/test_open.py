from collections.abc import Iterator

import pytest

from data.config import DataConfig
from data.corpora.open import Corpus
from data.corpora.text import Text
from data.open import open_vocabulary
from data.wordpiece import train_wordpiece
from model.errors import InputError

RHYME = """Peter Piper picked a peck of pickled peppers. A peck of pickled peppers Peter Piper
picked. If Peter Piper picked a peck of pickled peppers, where's the peck of pickled peppers?"""


class Book(Corpus):
    """A corpus that records which splits are read."""

    reads: list[str]

    def __init__(self):
        super().__init__("book", "book", manifest={}, parts={})
        self.__dict__["reads"] = []  # the corpus itself is frozen

    def texts(self, split) -> Iterator[Text]:
        self.reads.append(split)
        yield Text(RHYME, "rhyme")


def test_a_vocabulary_is_learned_from_the_corpus_once(tmp_path):
    corpus = Book()
    config = DataConfig(tokenizer="wordpiece:60", cache=tmp_path)
    first, second = open_vocabulary(config, corpus), open_vocabulary(config, corpus)
    assert first.pieces == second.pieces == train_wordpiece([RHYME], 60).pieces
    assert corpus.reads == ["train"]
    cased = DataConfig(tokenizer="wordpiece:60:cased", cache=tmp_path)
    assert "P" in open_vocabulary(cased, corpus).pieces
    with pytest.raises(InputError, match=r"--data\.tokenizer"):
        open_vocabulary(DataConfig(cache=tmp_path), corpus)
    with pytest.raises(InputError, match="wordpiece:8k: after wordpiece: comes the number"):
        open_vocabulary(DataConfig(tokenizer="wordpiece:8k", cache=tmp_path), corpus)
