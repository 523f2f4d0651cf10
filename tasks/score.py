"""Predictions and metrics of a model on the examples of a task."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from tasks.formats.rows import Example
from tasks.kind import ClassNames, ClassScore, Fetched, Kind, Prediction
from tasks.task import Task
from tasks.windows import Windows

GROUPS = 50  # of examples, one of which is left out at a time
FEWEST = 10  # of fewer examples there is no interval


class Scored(NamedTuple):
    """A model's answers to a task, and their score."""

    predictions: list[Prediction]
    """One for each example."""
    metrics: dict[str, float]
    """Those of the task, the `score`, which is their mean, and `Kind.losses`; empty where no right
    answers are known. `collapsed` is 1 where all are alike: see `Kind.collapse`."""


def score(
    task: Task, examples: Sequence[Example], windows: Windows, fetched: Fetched, labels: ClassNames
) -> Scored:
    """The predictions and the score of what `tasks.predict.predictor` fetched for the windows."""
    kind = task.kind
    found = kind.predict(examples, windows, fetched, labels)
    predictions = [{"id": e.id, **p} for e, p in zip(examples, found, strict=True)]
    gold = [kind.gold(example) for example in examples]
    if any(answer is None for answer in gold):
        return Scored(predictions, {})
    for prediction, answer in zip(predictions, gold, strict=True):
        prediction["gold"] = answer
    return Scored(predictions, _measure(task, predictions))


class SplitScores(NamedTuple):
    """Scores of a model on a split whose right answers are known, for reports."""

    examples: int
    metrics: dict[str, float]
    """Those of `score` and of `Kind.breakdown`."""
    intervals: dict[str, float]
    """Half the width of the 95 % interval of each, as `half_widths` has it."""
    classes: dict[str, ClassScore]
    """Of kinds with classes, or types: those that are there or predicted."""


def score_in_full(task: Task, predictions: Sequence[Prediction]) -> SplitScores:
    """All scores of predictions with `gold`."""

    def measure(chosen: Sequence[int]) -> dict[str, float]:
        part = [predictions[place] for place in chosen]
        return {**_measure(task, part), **task.kind.breakdown(task.labels, part)}

    count = len(predictions)
    metrics = measure(range(count))
    intervals = half_widths(measure, count)
    gold, predicted = ([row[side] for row in predictions] for side in ("gold", "prediction"))
    classes = class_scores(task.kind, task.labels, gold, predicted)
    return SplitScores(count, metrics, intervals, classes)


def split_record(scores: SplitScores) -> dict[str, Any]:
    """The scores of a split for a file of results."""
    classes = {name: score._asdict() for name, score in scores.classes.items()}
    return {**scores._asdict(), "classes": classes}


def half_widths(
    measure: Callable[[Sequence[int]], Mapping[str, float]], count: int
) -> dict[str, float]:
    """Half the width of the 95 % interval of each metric, if examples are drawn independently.

    From the jackknife with t quantiles: `measure` is asked for the metrics without each of up to 50
    groups of the `count` examples. For a mean over single examples that is the t interval. A metric
    has none that does not vary, such as an accuracy of 1, or where too few examples are there.
    """
    groups = min(count, GROUPS)
    if count < FEWEST:
        return {}
    from scipy import stats  # which takes a second to import

    place = np.arange(count) % groups
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # was given for all examples together
        parts = [measure(np.flatnonzero(place != group).tolist()) for group in range(groups)]
    factor = float(stats.t.ppf(0.975, groups - 1)) * (groups - 1) ** 0.5
    common = [name for name in parts[0] if all(name in part for part in parts)]
    deviations = {name: float(np.std([part[name] for part in parts])) for name in common}
    return {name: factor * deviation for name, deviation in deviations.items() if deviation > 1e-12}


def class_scores(
    kind: Kind, labels: ClassNames, gold: Sequence[object], predicted: Sequence[object]
) -> dict[str, ClassScore]:
    """Precision, recall and F1 of each class, 0 where they are undefined."""
    right, found = (set(kind.items(side)) for side in (gold, predicted))
    there, guessed, hits = (
        Counter(name for name, *_ in items) for items in (right, found, right & found)
    )
    order = {name: place for place, name in enumerate(labels)}
    return {
        name: ClassScore(
            hits[name] / max(guessed[name], 1),
            hits[name] / max(there[name], 1),
            2 * hits[name] / (guessed[name] + there[name]),
            there[name],
        )
        for name in sorted(there | guessed, key=lambda name: (order.get(name, -1), name))
    }


def task_metrics(task: Task, gold: Sequence[Any], predicted: Sequence[Any]) -> dict[str, float]:
    """The metrics of a task, with the `score`, which is their mean."""
    values = task.kind.measure(task.metrics, task.labels, gold, predicted)
    return {"score": fmean(values[name] for name in task.metrics), **values}


def _measure(task: Task, predictions: Sequence[Prediction]) -> dict[str, float]:
    gold, predicted = ([row[side] for row in predictions] for side in ("gold", "prediction"))
    return {**task_metrics(task, gold, predicted), **task.kind.losses(predictions)}
