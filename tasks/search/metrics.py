"""Metrics of retrieval, by ir-measures, in which trec_eval counts.

A library and no formulas of our own, because published numbers come from it; it is small (trec_eval
in C, NumPy and SciPy).
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np
from jaxtyping import Float64

from data.extras import library

METRICS = {
    "ndcg@10": "nDCG@10",
    "recall@100": "R@100",
    "mrr@10": "RR@10",
    "precision@1": "P@1",
    "precision@10": "P@10",
}
"""The names that ir-measures has for ours."""
TITLES = {
    "ndcg@10": "nDCG@10",
    "recall@100": "recall@100",
    "mrr@10": "MRR@10",
    "precision@1": "precision@1",
    "precision@10": "precision@10",
}
DEPTH = 100
"""Documents of each query that the metrics look at."""


def check_metrics() -> ModuleType:
    """The library; raises InputError if it is not installed."""
    return library("ir_measures", "search", "measuring retrieval")


def measure_run(
    run: Mapping[str, Sequence[tuple[str, float]]], grades: Mapping[str, Mapping[str, int]]
) -> dict[str, Float64[np.ndarray, " queries"]]:
    """Every metric for each query of `grades`, in their order.

    As trec_eval counts: of documents with the same score those with the greater id come first; what
    nobody judged is not relevant; a query without relevant documents, or for which nothing was
    found, has 0. Documents of grade 1 and more are relevant, and nDCG gains the grade.

    Args:
        run: ids and scores of the documents found, by query.
        grades: the grade of each judged document, by query and document, from 0.

    Raises:
        InputError: ir-measures is not installed.
    """
    ir_measures = check_metrics()
    # Ranks for scores, as some of its measures break ties in other ways.
    ranked = {query: _ranked(run.get(query, ())) for query in grades}
    named = {ir_measures.parse_measure(name): ours for ours, name in METRICS.items()}
    values = {ours: dict.fromkeys(grades, 0.0) for ours in METRICS}
    judged = {query: dict(each) for query, each in grades.items()}
    for result in ir_measures.iter_calc(list(named), judged, ranked):
        values[named[result.measure]][result.query_id] = result.value
    return {name: np.array(list(each.values()), np.float64) for name, each in values.items()}


def _ranked(found: Sequence[tuple[str, float]]) -> dict[str, float]:
    by_id = sorted(found, key=lambda pair: pair[0], reverse=True)
    order = sorted(by_id, key=lambda pair: -pair[1])
    return {name: float(-place) for place, (name, _) in enumerate(order)}
