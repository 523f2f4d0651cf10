"""The metrics that tasks name, and how they become one number for a task and for all of GLUE."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.questions import squad
from tasks.texts import score as classification
from tasks.words import tags as tagging

METRICS: dict[str, Callable[[Any, Any], float]] = {
    "accuracy": classification.accuracy,
    "f1": classification.f1,
    "macro_f1": classification.macro_f1,
    "matthews": classification.matthews,
    "pearson": classification.pearson,
    "spearman": classification.spearman,
    "entity_f1": tagging.entity_f1,
    "exact_match": squad.exact_match,
    "squad_f1": squad.squad_f1,
}
"""Functions of (gold, predicted): arrays [examples] of classes or values, the tags of each
sentence, or, for answers, the annotators' texts of each question and the predicted texts."""

GLUE: tuple[str, ...] = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")
"""As in Table 1 of Sanh et al. 2019."""


def evaluate(names: Sequence[str], gold: Any, predicted: Any) -> dict[str, float]:
    """The metrics that a task names (`Task.metrics`)."""
    return {name: METRICS[name](gold, predicted) for name in names}


def score(metrics: Mapping[str, float]) -> float:
    """A task's one number: the mean of its metrics, as the paper reports it."""
    return sum(metrics.values()) / len(metrics)


def glue_average(scores: Mapping[str, float], *, wnli: bool = True) -> float | None:
    """The macro average over the nine tasks, or the eight without WNLI; None if one is missing.

    WNLI is often left out: nothing but guessing the majority has been learned from its 635 pairs.
    """
    tasks = [task for task in GLUE if wnli or task != "wnli"]
    if not scores.keys() >= set(tasks):
        return None
    return sum(scores[task] for task in tasks) / len(tasks)
