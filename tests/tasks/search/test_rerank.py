"""Re-ranking against a cross-encoder that is called by hand."""

import json

import numpy as np
import pytest

from model.tasks import SequenceClassification
from tasks.search.documents import JsonlFile, open_documents
from tasks.search.hits import Hit
from tasks.search.rerank import CrossEncoder, Reranked
from tests.small import BERT, build, call
from tests.spelling import speller

VOCABULARY = speller()
_, _, CLS, SEP, _ = VOCABULARY.special
TEXTS = ["abc", "de", "f", "abc", "z"]
QUERIES = ["ab", "z", "xx"]
FOUND = [[Hit(row, 1.0 - row / 9) for row in rows] for rows in ([3, 0, 1, 2], [], [4, 2, 1])]


class First:
    """A search with the same results for the same three queries."""

    name, about = "first", "by hand"

    def __call__(self, queries, k):
        return [FOUND[QUERIES.index(query)][:k] for query in queries]


@pytest.fixture(scope="module")
def model():
    config = BERT.replace(vocab_size=VOCABULARY.size, labels=("LABEL_0",))
    return build(SequenceClassification, config)


@pytest.fixture
def documents(tmp_path):
    file = tmp_path / "c.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return open_documents(JsonlFile(file), tmp_path)


def score(model, query, text):
    ids = [[CLS, *VOCABULARY.tokenizer.encode(query, add_special_tokens=False).ids, SEP]]
    ids.append([*VOCABULARY.tokenizer.encode(text, add_special_tokens=False).ids, SEP])
    types = np.repeat([0, 1], [len(part) for part in ids])
    row = np.concatenate(ids)
    padded = (np.resize(part, (1, 12)) for part in (row, np.arange(12) < len(row), types))
    row, mask, types = padded
    mask = (np.arange(12) < len(np.concatenate(ids)))[None]
    return float(call(model, row, mask, types).logits[0, 0])


def expected(model, candidates):
    result = []
    for query, hits in zip(QUERIES, FOUND, strict=True):
        scored = [(hit.row, score(model, query, TEXTS[hit.row])) for hit in hits[:candidates]]
        result.append(sorted(scored, key=lambda pair: -pair[1]))
    return result


@pytest.mark.parametrize(("candidates", "k", "together"), [(5, 5, 32), (3, 2, 2)])
def test_candidates_are_put_into_the_order_of_the_scores(
    candidates, k, together, model, documents, monkeypatch
):
    """Rows 0 and 3 are the same text: of equal scores what was found first comes first."""
    monkeypatch.setattr("tasks.search.rerank.QUERIES_TOGETHER", together)
    search = Reranked(First(), CrossEncoder("cross", model, VOCABULARY), documents, candidates)
    found = search(QUERIES, k)
    for hits, right in zip(found, expected(model, candidates), strict=True):
        assert [hit.row for hit in hits] == [row for row, _ in right[:k]]
        np.testing.assert_allclose(
            [hit.score for hit in hits], [value for _, value in right[:k]], atol=1e-5
        )
    assert search.name == "first, re-ranked"
    assert f"the first {candidates} by cross" in search.about
