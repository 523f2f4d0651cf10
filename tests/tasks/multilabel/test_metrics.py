"""Metrics of labels against scikit-learn's."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as scikit_learn

from tasks.kinds import KINDS
from tasks.multilabel.metrics import f1_over_labels, label_table, micro_f1, subset_accuracy
from tasks.score import class_scores, score_in_full
from tasks.task import Task

LABELS = ("a", "b", "c", "d")
metrics: Any = scikit_learn  # its types are incomplete


def tables(labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.random((40, labels)) < 0.3, random.random((40, labels)) < 0.4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [2, 5])
def test_the_scores_of_scikit_learn(labels, seed):
    gold, predicted = tables(labels, seed)
    expected = [metrics.f1_score(gold, predicted, average=a) for a in ("micro", "macro")]
    found = [micro_f1(gold, predicted), f1_over_labels(gold, predicted)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    share = metrics.accuracy_score(gold, predicted)
    np.testing.assert_allclose(subset_accuracy(gold, predicted), share, rtol=1e-12)


def test_a_single_label_is_not_taken_for_two_classes():
    """As scikit-learn takes a table of one column."""
    gold, predicted = tables(1, 0)
    expected = metrics.f1_score(gold[:, 0], predicted[:, 0])
    assert micro_f1(gold, predicted) == f1_over_labels(gold, predicted) == pytest.approx(expected)


def test_labels_that_nobody_has_or_gets_do_not_count():
    gold, predicted = tables(3, 0)
    gold[:, 1] = predicted[:, 1] = False
    whole = metrics.f1_score(gold, predicted, average=None, zero_division=np.nan)
    assert f1_over_labels(gold, predicted) == pytest.approx(np.nanmean(whole))
    predicted[0, 1] = True
    with_errors = metrics.f1_score(gold, predicted, average="macro")
    assert f1_over_labels(gold, predicted) == pytest.approx(with_errors)
    nothing = np.zeros_like(gold)
    assert micro_f1(nothing, nothing) == f1_over_labels(nothing, nothing) == 1


def names(table: np.ndarray) -> list[list[str]]:
    return [[name for name, there in zip(LABELS, row, strict=True) if there] for row in table]


def test_a_table_has_the_labels_in_their_order():
    gold, _ = tables(len(LABELS), 0)
    shuffled = [row[::-1] for row in names(gold)]
    np.testing.assert_array_equal(label_table(shuffled, LABELS), gold)


def test_a_report_has_every_label_and_the_share_without_an_error():
    """Against scikit-learn's table of labels."""
    gold, predicted = tables(len(LABELS), 0)
    task = Task("t", "t", KINDS["multilabel"], ("micro_f1", "macro_f1"), labels=LABELS)
    shares = dict.fromkeys(LABELS, 0.5)
    predictions = [
        {"id": str(n), "gold": g, "prediction": p, "probabilities": shares}
        for n, (g, p) in enumerate(zip(names(gold), names(predicted), strict=True))
    ]
    scores = score_in_full(task, predictions)
    micro, macro = scores.metrics["micro_f1"], scores.metrics["macro_f1"]
    assert scores.metrics == pytest.approx(
        {
            "score": (micro + macro) / 2,
            "micro_f1": metrics.f1_score(gold, predicted, average="micro"),
            "macro_f1": metrics.f1_score(gold, predicted, average="macro"),
            "subset_accuracy": metrics.accuracy_score(gold, predicted),
            "collapsed": 0.0,
        }
    )
    assert {"score", "micro_f1", "macro_f1", "subset_accuracy"} == scores.intervals.keys()
    table = metrics.classification_report(
        gold, predicted, target_names=LABELS, output_dict=True, zero_division=0
    )
    assert list(scores.classes) == list(LABELS)
    for name, score in scores.classes.items():
        theirs = [table[name][key] for key in ("precision", "recall", "f1-score", "support")]
        assert list(score) == pytest.approx(theirs)
    assert class_scores(task.kind, LABELS, [["b"]], [[]])["b"] == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("predicted", "collapsed"), [([["a"], ["a"]], 1), ([[], []], 1), ([["a"], ["a", "b"]], 0)]
)
def test_a_model_has_collapsed_if_all_get_the_same_labels(predicted, collapsed):
    found = KINDS["multilabel"].measure((), LABELS, [["a"], ["b"]], predicted)
    assert found == {"collapsed": collapsed}
