from collections.abc import Iterator

import pytest

from data.config import DataConfig
from data.corpora.open import Corpus
from data.corpora.text import Text
from data.open import open_data, open_vocabulary
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


def test_held_out_text_that_is_in_the_training_text_is_said(tmp_path, capsys):
    for number in range(25):
        (tmp_path / f"{number}.txt").write_text(f"{RHYME}\nthis is text number {number} alone\n")
    (tmp_path / "c.rst").write_text("passed over")
    config = DataConfig(
        corpus=(str(tmp_path),),
        cache=tmp_path / ".cache",
        tokenizer="wordpiece:80",
        sequence_length=8,
    )
    for _ in range(2):  # the second time from the cache
        documents = {text.document for text in open_data(config).corpus.texts("heldout")}
        printed = capsys.readouterr().out
        lines, same = 3 * len(documents), len(RHYME.replace("\n", ""))
        alone = sum(len(f"this is text number {name}") + 2 for name in documents)
        share = 100 * same * len(documents) / (same * len(documents) + alone)
        assert (
            f"{tmp_path}: {lines - len(documents)} of {lines} lines of the held-out text "
            f"({share:.1f} % of its characters) are in the training text too\n"
        ) in printed
        assert f"{tmp_path}: passed over c.rst, which is not .txt" in printed
