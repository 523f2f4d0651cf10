"""Predictions and metrics of a model on the examples of a task."""

from collections.abc import Sequence
from typing import NamedTuple

from tasks.formats.rows import Example
from tasks.kind import Fetched, Prediction
from tasks.task import Task
from tasks.windows import Windows


class Scored(NamedTuple):
    """A model's answers to a task, and how good they are."""

    predictions: list[Prediction]
    """One for each example."""
    metrics: dict[str, float]
    """Those of the task, and the `score`, which is their mean; empty where nothing is known to be
    right. `collapsed` is 1 where all examples got the same class."""


def score(
    task: Task,
    examples: Sequence[Example],
    windows: Windows,
    fetched: Fetched,
    labels: tuple[str, ...],
) -> Scored:
    """Scores a model on examples of a task.

    Args:
        task: names the metrics, and the classes in the order of the data set.
        examples: all with answers, or all without.
        windows: of these examples.
        fetched: from `tasks.predict.predictor`.
        labels: the classes in the model's order.
    """
    kind = task.kind
    predictions = kind.predict(examples, windows, fetched, labels)
    gold = [kind.gold(example) for example in examples]
    if any(answer is None for answer in gold):
        return Scored(predictions, {})
    for prediction, answer in zip(predictions, gold, strict=True):
        prediction["gold"] = answer
    predicted = [prediction["prediction"] for prediction in predictions]
    values = kind.measure(task.metrics, task.labels, gold, predicted)
    mean = sum(values[name] for name in task.metrics) / len(task.metrics)
    return Scored(predictions, {"score": mean, **values})
