"""Predictions and metrics of a model on the examples of a task."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from tasks.formats.rows import Example
from tasks.kind import ClassNames, Fetched, Prediction
from tasks.task import Task
from tasks.windows import Windows


class Scored(NamedTuple):
    """A model's answers to a task, and their score."""

    predictions: list[Prediction]
    """One for each example."""
    metrics: dict[str, float]
    """Those of the task, and the `score`, which is their mean; empty where no right answers
    are known. `collapsed` is 1 where all are alike: see `Kind.collapse`."""


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
    predicted = [prediction["prediction"] for prediction in predictions]
    values = kind.measure(task.metrics, task.labels, gold, predicted)
    return Scored(predictions, {"score": fmean(values[n] for n in task.metrics), **values})
