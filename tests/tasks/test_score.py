"""Scores of a split by class and with intervals, against scikit-learn, seqeval and closed forms."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from seqeval.metrics import classification_report
from sklearn.metrics import f1_score, precision_recall_fscore_support, roc_auc_score

from tasks.catalogue import find_task
from tasks.kind import ClassScore
from tasks.score import class_scores, half_widths, score_in_full
from tasks.task import Task

NAMES = ("no", "perhaps", "yes")


def drawn(count: int, names=NAMES, seed: int = 0) -> list[dict]:
    """Predictions of a classifier that is often right."""
    draw = np.random.default_rng(seed)
    gold = draw.choice(names, count)
    rows = []
    for name in gold:
        logits = draw.normal(size=len(names)) + (np.array(names) == name)
        shares = np.exp(logits) / np.exp(logits).sum()
        rows.append(
            {
                "gold": str(name),
                "prediction": names[shares.argmax()],
                "probabilities": dict(zip(names, map(float, shares), strict=True)),
            }
        )
    return rows


def classifying(labels: tuple[str, ...]) -> Task:
    return replace(find_task("classification"), labels=labels)


def numbers(scores: dict[str, ClassScore]) -> np.ndarray:
    return np.array([tuple(score) for score in scores.values()], np.float64)


def sides(rows: list[dict]) -> tuple[list[str], list[str]]:
    return [row["gold"] for row in rows], [row["prediction"] for row in rows]


@pytest.mark.parametrize("count", [10, 37, 50])
def test_the_interval_of_a_mean_of_few_is_the_t_interval(count):
    values = np.random.default_rng(count).normal(size=count)
    low, high = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    [half] = half_widths(lambda chosen: {"mean": values[list(chosen)].mean()}, count).values()
    assert half == pytest.approx((high - low) / 2, rel=1e-9)


def test_the_interval_of_many_is_as_wide_as_the_bootstrap_says():
    rows = drawn(2000)
    found = score_in_full(classifying(NAMES), rows).intervals
    gold, predicted = (np.array(side) for side in sides(rows))
    draw = np.random.default_rng(1)
    resampled = [draw.integers(0, 2000, 2000) for _ in range(300)]
    metrics = {
        "accuracy": lambda a, b: np.mean(a == b),
        "macro_f1": lambda a, b: f1_score(a, b, average="macro"),
    }
    for name, metric in metrics.items():
        spread = np.std([metric(gold[chosen], predicted[chosen]) for chosen in resampled])
        assert found[name] == pytest.approx(1.96 * spread, rel=0.25)


def test_where_there_is_no_interval():
    """Of too few examples, of a metric that does not vary, and of one that a part lacks."""
    assert half_widths(lambda chosen: {"mean": float(len(chosen))}, 9) == {}
    found = half_widths(
        lambda chosen: (
            {"always": 1.0, "size": float(sum(chosen))} | ({"rare": 1.0} if 0 in chosen else {})
        ),
        20,
    )
    assert list(found) == ["size"]


def test_classes_are_scored_as_by_scikit_learn():
    task = classifying((*NAMES, "never"))
    rows = drawn(300)
    gold, predicted = sides(rows)
    found = class_scores(task.kind, task.labels, gold, predicted)
    expected: Any = precision_recall_fscore_support(gold, predicted, labels=NAMES)
    assert list(found) == list(NAMES)
    np.testing.assert_allclose(numbers(found), np.transpose(expected), rtol=1e-12)
    lost = class_scores(task.kind, task.labels, ["no", "yes"], ["yes", "yes"])
    assert lost["no"] == (0, 0, 0, 1) and lost["yes"] == (0.5, 1, pytest.approx(2 / 3), 1)


def test_two_classes_have_f1_and_the_area_under_the_curve():
    rows = drawn(200, names=("no", "yes"))
    gold, predicted = sides(rows)
    metrics = score_in_full(classifying(("no", "yes")), rows).metrics
    shares = [row["probabilities"]["yes"] for row in rows]

    def yes(names: list[str]) -> list[bool]:
        return [name == "yes" for name in names]

    assert metrics["f1"] == pytest.approx(f1_score(yes(gold), yes(predicted)))
    assert metrics["auc"] == pytest.approx(roc_auc_score(yes(gold), shares))
    pairs = [a > b for a, x in zip(shares, gold, strict=True) if x == "yes"
             for b, y in zip(shares, gold, strict=True) if y == "no"]  # fmt: skip
    assert metrics["auc"] == pytest.approx(np.mean(pairs))
    one = [row for row in rows if row["gold"] == "yes"]
    assert "auc" not in find_task("classification").kind.breakdown(("no", "yes"), one)


def test_types_of_entities_are_scored_as_by_seqeval():
    draw = random.Random(0)
    tags = ["O", "O", "B-a", "I-a", "B-b", "I-b", "B-c"]
    gold = [draw.choices(tags, k=draw.randrange(12)) for _ in range(200)]
    predicted = [[draw.choice([tag, tag, *tags]) for tag in line] for line in gold]
    found = class_scores(find_task("tags").kind, (), gold, predicted)
    expected: Any = classification_report(gold, predicted, output_dict=True)
    assert list(found) == ["a", "b", "c"]
    keys = ("precision", "recall", "f1-score", "support")
    theirs = [[expected[name][key] for key in keys] for name in found]
    np.testing.assert_allclose(numbers(found), theirs, rtol=1e-12)
