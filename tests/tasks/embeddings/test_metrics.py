"""Ranks against a sort by hand."""

import numpy as np

from tasks.embeddings import metrics
from tasks.embeddings.examples import PairExample
from tasks.embeddings.metrics import rank, reciprocal_rank_at_10, right_at_1


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def test_ranks_are_those_of_a_sort(monkeypatch):
    monkeypatch.setattr(metrics, "QUERIES", 7)  # several rounds
    random = np.random.default_rng(0)
    vector = {f"d{n}": random.normal(size=4).astype(np.float32) * (n + 1) for n in range(12)}
    examples = [
        PairExample(str(n), f"q{n // 2}", f"d{n % 9}", (f"d{9 + n % 3}",) * (n % 2))
        for n in range(20)
    ]
    queries = {example.query: random.normal(size=4).astype(np.float32) for example in examples}
    vectors = [
        np.stack([queries[e.query], *(vector[t] for t in (e.document, *e.negatives))])
        for e in examples
    ]
    ranks, first = rank(examples, vectors)
    used = {text for e in examples for text in (e.document, *e.negatives)}
    for example, place, text in zip(examples, ranks, first, strict=True):
        right = {e.document for e in examples if e.query == example.query}
        others = sorted(
            used - right | {example.document},
            key=lambda name: -cosine(queries[example.query], vector[name]),
        )
        assert others.index(example.document) + 1 == place
        assert others[0] == text


def test_a_model_to_which_all_is_alike_finds_nothing():
    examples = [PairExample(str(n), f"q{n}", f"d{n}") for n in range(5)]
    ranks, first = rank(examples, [np.ones((2, 3), np.float32)] * 5)
    assert ranks.tolist() == [5] * 5
    assert first[0] != "d0"
    assert right_at_1([1] * 5, ranks.tolist()) == 0


def test_metrics_of_ranks():
    ranks = [1, 2, 10, 11, 1]
    assert right_at_1([1] * 5, ranks) == 2 / 5
    assert np.isclose(reciprocal_rank_at_10([1] * 5, ranks), (1 + 1 / 2 + 1 / 10 + 0 + 1) / 5)
