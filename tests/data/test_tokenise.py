"""Neighbouring rows joined into texts."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from data.config import DataConfig
from data.corpora.open import open_corpus
from data.tokenise import Encoded, Piece, join_neighbours
from model.errors import InputError
from tests.data.test_prepare import CLS, SEP, Texts, made, rows


def encoded(rows_of: list[tuple[str, int]], batch: int) -> Iterator[list[Encoded]]:
    """A row for each document and number of tokens, which are the row's number."""
    made_of = [
        Encoded(Piece("", document, True), np.full(tokens, number, np.uint32))
        for number, (document, tokens) in enumerate(rows_of)
    ]
    return (made_of[start : start + batch] for start in range(0, len(made_of), batch))


def joined(rows_of: list[tuple[str, int]], room: int, batch: int = 3) -> list[list[int]]:
    """The rows in each text."""
    texts, rows_in = [], []
    for piece, ids in (e for b in join_neighbours(encoded(rows_of, batch), room) for e in b):
        rows_in.append(int(ids[0]))
        if piece.ends_text:
            texts.append(rows_in)
            rows_in = []
    assert rows_in == []
    return texts


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_rows_are_joined_as_far_as_there_is_room(batch):
    sentences = [(f"train:{n}", tokens) for n, tokens in enumerate([4, 4, 2, 1, 9, 12, 3, 7, 1])]
    assert joined(sentences, 10, batch) == [[0, 1, 2], [3, 4], [5], [6, 7], [8]]


def test_lines_of_a_document_are_joined_and_documents_are_not():
    lines = [("a.txt", 3), ("a.txt", 3), ("b.txt", 3), ("b.txt", 3), ("c.csv:1", 3), ("c.csv:2", 3)]
    assert joined([*lines, ("d.csv:1", 3)], 100) == [[0, 1], [2, 3], [4, 5], [6]]
    articles = [("train#1", 3), ("train#1", 3), ("train#2", 3)]
    assert joined(articles, 100) == [[0, 1], [2]]


def test_a_long_text_in_pieces_is_one_text():
    pieces = [
        Encoded(Piece("", "train:0", False), np.full(6, 0, np.uint32)),
        Encoded(Piece("", "train:0", True), np.full(6, 0, np.uint32)),
        Encoded(Piece("", "train:1", True), np.full(2, 1, np.uint32)),
    ]
    ends = [e.piece.ends_text for b in join_neighbours(iter([pieces]), 10) for e in b]
    assert ends == [False, True, True]


def test_short_rows_are_no_longer_dropped(tmp_path):
    sentences = [(f"train:{number}", ["aaa bbb ccc"]) for number in range(10)]
    sequences = made(Texts(*sentences, joins=True), tmp_path, "lines", 20)
    assert rows(sequences) == [[CLS, *[5, 6, 7] * 6, SEP], [CLS, *[5, 6, 7] * 4, SEP]]
    assert sequences.stats["dropped_short"] == 0
    assert sequences.stats["documents"] == 10


def test_what_is_joined_is_named(tmp_path):
    (tmp_path / "book.jsonl").write_text("".join(f'{{"text": "row {n}"}}\n' for n in range(40)))
    book = str(tmp_path / "book.jsonl")
    config = DataConfig(corpus=(book,), mode="lines", cache=tmp_path)
    plain, other = open_corpus(config), open_corpus(replace(config, join=(book,)))
    assert [joins for _, joins in plain.streams("train")] == [False]
    assert [joins for _, joins in other.streams("train")] == [True]
    assert plain.fingerprint != other.fingerprint
    with pytest.raises(InputError, match=r"--data\.join other is not among --data\.corpus"):
        open_corpus(replace(config, join=("other",)))
    with pytest.raises(InputError, match=r"rows in lines mode, and --data\.mode is packed"):
        open_corpus(replace(config, join=(book,), mode="packed"))
