"""Dense search against vectors compared by hand, and what it keeps."""

import json
import re

import numpy as np
import pytest

from model.errors import InputError
from model.hf.weight_map import ENCODERS
from model.tasks import Embedder
from tasks.embeddings.embed import embed
from tasks.search import dense
from tasks.search.dense import DenseSearch, DenseSettings
from tasks.search.documents import JsonlFile, open_documents
from tests.small import DISTILBERT, build
from tests.spelling import speller

VOCABULARY = speller()
TEXTS = ["abc", "de", "a longer text", "b", "x.y.z", "abc", "9 8 7"]
QUERIES = ["abcd", "z", "some text"]


def embedder(seed=0, **settings) -> Embedder:
    config = DISTILBERT.replace(vocab_size=VOCABULARY.size)
    return Embedder(build(ENCODERS[config.architecture], config, seed=seed), **settings)


@pytest.fixture(scope="module")
def model():
    return embedder()


@pytest.fixture
def documents(tmp_path):
    return stored(tmp_path / "c.jsonl", TEXTS)


def stored(file, texts):
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return open_documents(JsonlFile(file), file.parent / "cache")


def check(search, model, *, query="", document="", texts=TEXTS, length=20, atol=1e-6):
    """Scores are the products of the vectors of each text, and their order is that of scores."""
    rows, asked = (
        embed(model, VOCABULARY, [f"{prompt}{text}" for text in each], prompt="", max_length=length)
        for prompt, each in ((document, texts), (query, QUERIES))
    )
    for expected, hits in zip(asked @ rows.T, search(QUERIES, len(texts)), strict=True):
        assert sorted(hit.row for hit in hits) == list(range(len(texts)))
        scores = [hit.score for hit in hits]
        np.testing.assert_allclose(scores, [expected[hit.row] for hit in hits], atol=atol)
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(("vectors", "atol"), [("float32", 1e-6), ("float16", 1e-3)])
def test_scores_are_products_of_vectors(vectors, atol, model, documents, tmp_path):
    settings = DenseSettings(vectors=vectors)
    search = DenseSearch("m", model, VOCABULARY, documents, tmp_path, settings)
    check(search, model, atol=atol)
    with pytest.raises(InputError, match="the 8 best documents are asked for, and there are 7"):
        search(QUERIES, 8)


def test_texts_are_cut_where_the_setting_says(model, documents, tmp_path):
    search = DenseSearch("m", model, VOCABULARY, documents, tmp_path, DenseSettings(max_length=4))
    check(search, model, length=4)
    assert "the first 4 tokens" in search.about


def test_queries_and_documents_have_prompts_of_their_own(documents, tmp_path):
    """By the names that sentence-transformers gives them, unless they are given."""

    def search(model, settings=None):
        return DenseSearch("m", model, VOCABULARY, documents, tmp_path, settings)

    model = embedder(prompts=(("query", "q "), ("passage", "p ")))
    check(search(model), model, query="q ", document="p ")
    given = DenseSettings(query_prompt="", document_prompt="d ")
    check(search(model, given), model, document="d ")
    model = embedder(prompts=(("other", "o "),))
    with pytest.raises(InputError, match=r"called other, none of which is query: .*--query-prompt"):
        search(model)
    model = embedder(prompts=(("other", "o "),), default_prompt="other")
    check(search(model), model, query="o ", document="o ")


def test_vectors_are_kept_until_something_changes(model, documents, tmp_path, capsys):
    def reads(model, vocabulary, documents, **settings):
        DenseSearch("m", model, vocabulary, documents, tmp_path, DenseSettings(**settings))
        return "once" in capsys.readouterr().err

    assert reads(model, VOCABULARY, documents)
    assert not reads(embedder(), VOCABULARY, documents)
    assert reads(embedder(seed=1), VOCABULARY, documents)
    assert reads(embedder(pooling="cls"), VOCABULARY, documents)
    assert reads(model, speller(lowercase=True), documents)
    assert reads(model, VOCABULARY, documents, max_length=5)
    assert reads(model, VOCABULARY, documents, document_prompt="x")
    assert reads(model, VOCABULARY, documents, vectors="float16")
    assert not reads(model, VOCABULARY, documents, query_prompt="x")
    changed = stored(tmp_path / "c.jsonl", [*TEXTS[:-1], "9 8 6"])
    assert reads(model, VOCABULARY, changed)
    check(
        DenseSearch("m", model, VOCABULARY, changed, tmp_path), model, texts=[*TEXTS[:-1], "9 8 6"]
    )


def test_damaged_vectors_are_named_and_made_again(model, documents, tmp_path, capsys):
    DenseSearch("m", model, VOCABULARY, documents, tmp_path)
    (file,) = tmp_path.glob("vectors/*/vectors.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    capsys.readouterr()
    check(DenseSearch("m", model, VOCABULARY, documents, tmp_path), model)
    assert "vectors.npy is damaged: its folder is made again" in capsys.readouterr().err


def test_long_work_says_how_far_it_is(model, documents, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dense, "LINE_EVERY", -1.0)
    DenseSearch("m", model, VOCABULARY, documents, tmp_path)
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.endswith("c.jsonl, once: 7 documents")
    assert re.search(r"c.jsonl: 7 of 7, [\d,.]+/s$", last)
