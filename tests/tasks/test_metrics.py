import numpy as np
import pytest

from tasks.metrics import GLUE, METRICS, evaluate, glue_average, score

# Table 1 of Sanh et al. 2019 (v4), DistilBERT's row, in the order of GLUE.
DISTILBERT = dict(zip(GLUE, (51.3, 82.2, 87.5, 89.2, 88.5, 59.9, 91.3, 86.9, 56.3), strict=True))


def test_every_metric_is_1_for_perfect_predictions():
    perfect = {
        **dict.fromkeys(("accuracy", "f1", "macro_f1", "matthews"), np.array([0, 1, 1])),
        **dict.fromkeys(("pearson", "spearman"), np.array([0.5, 1.5, 3.0])),
        "entity_f1": [["B-x", "O"], ["O"]],
    }
    for name, gold in perfect.items():
        assert evaluate([name], gold, gold) == {name: pytest.approx(1.0)}
    answers = evaluate(("exact_match", "squad_f1"), [["x"], []], ["x", ""])
    assert answers == {"exact_match": 1.0, "squad_f1": 1.0}
    assert {*perfect, *answers} == set(METRICS)


def test_a_score_is_the_mean_of_the_metrics():
    metrics = evaluate(("accuracy", "f1"), np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert metrics == pytest.approx({"accuracy": 2 / 3, "f1": 2 / 3})
    assert score({"pearson": 0.8, "spearman": 0.6}) == pytest.approx(0.7)


def test_glue_averages_are_the_papers():
    assert glue_average(DISTILBERT) == pytest.approx(77.0, abs=0.05)
    assert glue_average(DISTILBERT, wnli=False) == pytest.approx(79.6, abs=0.05)
    others = {name: value for name, value in DISTILBERT.items() if name != "wnli"}
    assert glue_average(others) is None
    assert glue_average(others, wnli=False) == glue_average(DISTILBERT, wnli=False)
