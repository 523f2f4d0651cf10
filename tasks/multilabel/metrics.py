"""Metrics of predicted labels: functions of (gold, predicted), tables of who has which label.

Where there is nothing to find and nothing is found, an F1 is 1 (scikit-learn's `zero_division=1`).
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Bool

from tasks.kind import ClassNames

LabelTable = Bool[np.ndarray, "examples labels"]


def label_table(answers: Sequence[Collection[str]], labels: ClassNames) -> LabelTable:
    """Makes a table: true where an example has a label; the labels are in their order."""
    places = {name: place for place, name in enumerate(labels)}
    table = np.zeros((len(answers), len(labels)), bool)
    for row, names in enumerate(answers):
        table[row, [places[name] for name in names]] = True
    return table


def micro_f1(gold: LabelTable, predicted: LabelTable) -> float:
    """The F1 of all labels of all examples together: frequent ones count more."""
    there = gold.sum() + predicted.sum()
    return float(2 * (gold & predicted).sum() / there) if there else 1.0


def f1_over_labels(gold: LabelTable, predicted: LabelTable) -> float:
    """The mean of the F1 of each label that some example has or is given: macro F1."""
    there = gold.sum(0) + predicted.sum(0)
    hits = (gold & predicted).sum(0)[there > 0]
    return float(np.mean(2 * hits / there[there > 0])) if len(hits) else 1.0


def subset_accuracy(gold: LabelTable, predicted: LabelTable) -> float:
    """The share of examples all of whose labels are right, those that they do not have too."""
    return float(np.mean((gold == predicted).all(axis=1)))
