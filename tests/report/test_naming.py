import pytest

from report.naming import with_interval


@pytest.mark.parametrize(
    ("metric", "number", "half", "text"),
    [
        ("accuracy", 0.9312, 0.0291, "93.1 % ± 2.9"),
        ("accuracy", 0.9312, 0.0004, "93.1 % ± 0.04"),
        ("accuracy", 1.0, None, "100.0 %"),
        ("mae", 0.5123, 0.0312, "0.512 ± 0.031"),
        ("r2", -1.25, 0.5, "−1.250 ± 0.500"),
        ("auc", None, 0.1, ""),
    ],
)
def test_values_with_their_intervals(metric, number, half, text):
    assert with_interval(metric, number, half) == text
