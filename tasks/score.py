"""From what a model says about the windows of a task to predictions and metrics."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from tasks import metrics
from tasks.catalogue import Kind, Task
from tasks.examples import Example
from tasks.predict import Logits
from tasks.questions.answers import predict_answers
from tasks.texts.score import collapsed, combine_windows
from tasks.windows import Windows
from tasks.words.tags import word_tags


class Scored(NamedTuple):
    """A model's answers to a task, and how good they are."""

    predictions: list[dict[str, Any]]
    """One for each example, with its `id`, what was predicted, how sure the model is, and what is
    right (`gold`), where that is known."""
    metrics: dict[str, float]
    """Those of the task, and the `score`, which is their mean; empty where nothing is known to be
    right. `collapsed` is 1 where all examples got the same class."""


class Answered(NamedTuple):
    """Predictions, and the two sides that metrics compare."""

    predictions: list[dict[str, Any]]
    gold: Any
    predicted: Any


def score(
    task: Task,
    examples: Sequence[Example],
    windows: Windows,
    logits: Logits,
    labels: tuple[str, ...],
) -> Scored:
    """Scores a model on examples of a task.

    Args:
        task: which metrics there are, and the classes in the order of the data set.
        examples: all with answers, or all without.
        windows: what they were read as.
        logits: from `tasks.predict.predictor`.
        labels: the classes in the model's order.
    """
    predictions, gold, predicted = ANSWER[task.kind](task, examples, windows, logits, labels)
    if any(answer is None for answer in gold):
        return Scored(predictions, {})
    for prediction, answer in zip(predictions, gold, strict=True):
        prediction["gold"] = answer
    if task.kind == "classification":
        gold, predicted = (
            np.array([task.labels.index(name) for name in side]) for side in (gold, predicted)
        )
    elif task.kind == "regression":
        gold, predicted = np.asarray(gold, np.float32), np.asarray(predicted, np.float32)
    values = metrics.evaluate(task.metrics, gold, predicted)
    values = {"score": metrics.score(values), **values}
    if task.kind == "classification":
        values["collapsed"] = float(collapsed(predicted) is not None)
    return Scored(predictions, values)


def _classify(task, examples, windows, logits, labels) -> Answered:
    scores = combine_windows(np.stack(logits["logits"]), windows.example)
    probabilities = softmax(scores, axis=-1)
    predicted = [labels[index] for index in scores.argmax(-1)]
    predictions = [
        {
            "id": example.id,
            "prediction": name,
            "probabilities": dict(zip(labels, map(float, shares), strict=True)),
        }
        for example, name, shares in zip(examples, predicted, probabilities, strict=True)
    ]
    return Answered(predictions, [example.label for example in examples], predicted)


def _estimate(task, examples, windows, logits, labels) -> Answered:
    values = combine_windows(np.stack(logits["logits"]), windows.example)[:, 0]
    predicted = [float(value) for value in values]
    predictions = [
        {"id": example.id, "prediction": value}
        for example, value in zip(examples, predicted, strict=True)
    ]
    return Answered(predictions, [example.label for example in examples], predicted)


def _tag(task, examples, windows, logits, labels) -> Answered:
    counts = [len(example.words) for example in examples]
    predicted = word_tags(logits["logits"], windows, counts, labels)
    predictions = [
        {"id": example.id, "words": list(example.words), "prediction": tags}
        for example, tags in zip(examples, predicted, strict=True)
    ]
    gold = [None if example.tags is None else list(example.tags) for example in examples]
    return Answered(predictions, gold, predicted)


def _answer(task, examples, windows, logits, labels) -> Answered:
    chosen = predict_answers(
        logits["start"], logits["end"], windows, examples, null_threshold=task.null_threshold
    )
    predictions = [
        {
            "id": example.id,
            "prediction": said.answer.text,
            "start": said.answer.start,
            "no_answer": said.no_answer,
            "candidates": [
                {"text": c.text, "start": c.start, "probability": c.probability}
                for c in said.candidates
            ],
        }
        for example, said in zip(examples, chosen, strict=True)
    ]
    gold = [
        None if example.answers is None else [answer.text for answer in example.answers]
        for example in examples
    ]
    return Answered(predictions, gold, [said.answer.text for said in chosen])


ANSWER: dict[Kind, Callable[..., Answered]] = {
    "classification": _classify,
    "regression": _estimate,
    "tags": _tag,
    "answers": _answer,
}
