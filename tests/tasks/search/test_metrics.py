"""Metrics of retrieval against their formulas, and against trec_eval itself."""

import sys

import numpy as np
import pytest

from model.errors import InputError
from tasks.search.metrics import METRICS, TITLES, measure_run

GRADES = {
    "graded": {"a": 2, "b": 1, "c": 0, "never found": 1},
    "ties": {"a": 1, "b": 0, "c": 1},
    "nothing relevant": {"a": 0},
    "nothing found": {"a": 1},
    "late": {"z11": 1, "z00": 3},
}
RUN = {
    "graded": [("c", 0.9), ("x", 0.8), ("a", 0.7), ("b", 0.6)],
    "ties": [("a", 0.5), ("b", 0.5), ("d", 0.5), ("c", 0.5), ("e", 0.7)],
    "nothing relevant": [("a", 0.5), ("b", 0.4)],
    "late": [(f"z{n:02}", -float(n)) for n in range(1, 120)],
    "was never judged": [("a", 1.0)],
}


def order(found):
    """By score; of equal ones the greater id comes first."""
    return [name for score, name in sorted(((s, n) for n, s in found), reverse=True)]


def formulas(query):
    """Of Järvelin and Kekäläinen 2002 with the gain of trec_eval, and the textbook's."""
    grades, ranking = GRADES[query], order(RUN.get(query, []))
    gains = np.array([grades.get(name, 0) for name in ranking] + [0] * 100)
    ideal = np.array(sorted(grades.values(), reverse=True) + [0] * 100)
    discounts = 1 / np.log2(np.arange(2, 12))
    relevant = gains > 0
    best = (ideal[:10] * discounts).sum()
    first = np.flatnonzero(relevant[:10])
    return {
        "ndcg@10": (gains[:10] * discounts).sum() / best if best else 0.0,
        "recall@100": relevant[:100].sum() / (ideal > 0).sum() if best else 0.0,
        "mrr@10": 1 / (first[0] + 1) if len(first) else 0.0,
        "precision@1": float(relevant[0]),
        "precision@10": relevant[:10].sum() / 10,
    }


def test_metrics_are_those_of_their_formulas():
    found = measure_run(RUN, GRADES)
    assert list(found) == list(METRICS) == list(TITLES)
    for number, query in enumerate(GRADES):
        for name, value in formulas(query).items():
            assert found[name][number] == pytest.approx(value, abs=1e-12), (name, query)
    assert found["mrr@10"].tolist()[:2] == [1 / 3, 1 / 3]
    assert found["recall@100"][-1] == 0.5 and found["mrr@10"][-1] == 0.0


def test_random_runs_with_ties_are_those_of_trec_eval():
    """It breaks ties by itself; of its reciprocal rank those up to 10 are compared."""
    pytrec_eval = pytest.importorskip("pytrec_eval")
    random = np.random.default_rng(0)
    names = [f"d{n}" for n in range(150)]
    grades, run = {}, {}
    for query in map(str, range(30)):
        judged = random.choice(names, 20, replace=False)
        grades[query] = {str(name): int(random.integers(0, 4)) for name in judged}
        scores = random.integers(0, 9, len(names)) / 8
        run[query] = [(name, float(score)) for name, score in zip(names, scores, strict=True)]
    found = measure_run(run, grades)
    evaluator = pytrec_eval.RelevanceEvaluator(
        grades, {"ndcg_cut.10", "recall.100", "recip_rank", "P.1,10"}
    )
    theirs = evaluator.evaluate({query: dict(pairs) for query, pairs in run.items()})
    for number, query in enumerate(grades):
        each = theirs[query]
        assert found["ndcg@10"][number] == pytest.approx(each["ndcg_cut_10"], abs=1e-12)
        assert found["recall@100"][number] == pytest.approx(each["recall_100"], abs=1e-12)
        assert found["precision@1"][number] == each["P_1"]
        assert found["precision@10"][number] == pytest.approx(each["P_10"], abs=1e-12)
        rank = each["recip_rank"]
        assert found["mrr@10"][number] == pytest.approx(rank if rank >= 0.1 else 0.0, abs=1e-12)
    assert 0.1 < found["mrr@10"].mean() < 0.9


def test_the_missing_library_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(InputError, match=r"measuring retrieval needs ir_measures.*\[search\]"):
        measure_run(RUN, GRADES)
