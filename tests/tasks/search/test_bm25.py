"""BM25 against its formula, and what it keeps."""

import json
import math
import re
import sys

import pytest

from model.errors import InputError
from tasks.search.bm25 import BM25
from tasks.search.documents import JsonlFile, open_documents

TEXTS = [
    "The cats sat on the mat, and the cat slept.",
    "A dog is no cat!",
    "dogs dogs dogs dogs",
    "Nothing of that.",
    "A dog is no cat!",
    "42 is the answer to it all: x",
]
STEMS = [
    ["cat", "sat", "mat", "cat", "slept"],
    ["dog", "cat"],
    ["dog", "dog", "dog", "dog"],
    ["noth"],
    ["dog", "cat"],
    ["42", "answer", "all", "x"],
]


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    return open_documents(JsonlFile(tmp_path / "c.jsonl"), tmp_path / "cache")


def scores(words, k1=0.9, b=0.4):
    """Robertson's formula, as Lucene has it, for all documents."""
    mean = sum(map(len, STEMS)) / len(STEMS)
    result = []
    for stems in STEMS:
        score = 0.0
        for word in words:
            there = sum(word in other for other in STEMS)
            weight = math.log(1 + (len(STEMS) - there + 0.5) / (there + 0.5))
            count = stems.count(word)
            score += weight * count / (count + k1 * (1 - b + b * len(stems) / mean))
        result.append(score)
    return result


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Is the cat a DOG?", ["cat", "dog"]),
        ("sleeping dogs dogs", ["dog", "dog"]),
        ("the answer 42 X", ["answer", "42", "x"]),
    ],
)
def test_scores_are_those_of_the_formula_and_equal_documents_keep_their_order(
    query, words, corpus, tmp_path
):
    expected = {row: score for row, score in enumerate(scores(words)) if score}
    search = BM25(corpus, tmp_path / "cache")
    (found,) = search([query], 10)
    assert [hit.row for hit in found] == sorted(expected, key=lambda row: (-expected[row], row))
    for row, score in found:
        assert score == pytest.approx(expected[row], rel=1e-5)
    assert search([query], 2) == [found[:2]]


def test_words_that_no_document_has_find_nothing(corpus, tmp_path):
    assert BM25(corpus, tmp_path / "cache")(["zebra", "of the", "?!"], 3) == [[], [], []]


def test_an_index_is_kept_for_the_same_corpus_and_made_again_if_damaged(corpus, tmp_path, capsys):
    cache = tmp_path / "cache"
    found = BM25(corpus, cache)(["cats"], 3)
    assert "once: 6 documents" in capsys.readouterr().err
    assert BM25(corpus, cache)(["cats"], 3) == found and capsys.readouterr().err == ""
    for file in cache.glob("bm25/*/data.csc.index.npy"):
        file.write_bytes(file.read_bytes()[:-4] + b"flip")
    assert BM25(corpus, cache)(["cats"], 3) == found
    message = capsys.readouterr().err
    assert re.search("data.csc.index.npy is damaged: its folder is made again", message)


@pytest.mark.parametrize("name", ["bm25s", "Stemmer"])
def test_a_missing_library_is_named_with_its_remedy(name, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"BM25 needs {name}, .* pip install .*\[search\]"):
        BM25(corpus, tmp_path)


def test_documents_of_stop_words_alone_are_refused(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"text": "of the"}\n{"text": "!"}\n')
    corpus = open_documents(JsonlFile(tmp_path / "c.jsonl"), tmp_path)
    with pytest.raises(InputError, match="holds nothing but stop words for BM25"):
        BM25(corpus, tmp_path)
