import pytest

from report.naming import label, with_interval
from report.predictions.classes import class_table
from tasks.kind import ClassScore


@pytest.mark.parametrize(
    ("metric", "number", "half", "text"),
    [
        ("accuracy", 0.9312, 0.0291, "93.1 % ± 2.9"),
        ("accuracy", 0.9312, 0.0004, "93.120 % ± 0.040"),
        ("accuracy", 1.0, None, "100.0 %"),
        ("mae", 0.5123, 0.0312, "0.512 ± 0.031"),
        ("r2", -1.25, 0.5, "−1.250 ± 0.500"),
        ("auc", None, 0.1, ""),
    ],
)
def test_values_with_their_intervals(metric, number, half, text):
    assert with_interval(metric, number, half) == text


def test_a_metric_of_its_own_is_not_taken_for_the_mean_of_a_term():
    assert label("loss_of_target") == "loss of the target (nats a token)"
    assert label("loss_ce") == label("ce")


def test_classes_of_several_models_are_averaged():
    """One of which neither finds nor should find a class that another finds."""
    one = {"a": ClassScore(0.5, 1.0, 2 / 3, 1200), "b": ClassScore(0.0, 0.0, 0.0, 0)}
    header, lines = class_table([one, {"a": ClassScore(0.7, 0.5, 0.6, 1200)}])
    assert header == ["", "precision", "recall", "F1", "examples"]
    assert lines == [
        ["a", "60.0 %", "75.0 %", "63.3 %", "1,200"],
        ["b", "0.0 %", "0.0 %", "0.0 %", "0"],
    ]
