"""Metrics of predicted classes and values: functions of (gold, predicted).

The numbers are scikit-learn's and scipy's, between 0 and 1 (correlations: -1 and 1). Both libraries
take seconds to import, which a command has only when it scores.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

Classes = Int[np.ndarray, " examples"]
Values = Sequence[float] | Float[np.ndarray, " examples"]
_MEAN_OF_F1: dict[str, Any] = {"average": "macro", "zero_division": 0}


def accuracy(gold: Classes, predicted: Classes) -> float:
    return float(_scikit_learn().accuracy_score(gold, predicted))


def f1(gold: Classes, predicted: Classes) -> float:
    """Of the second class, which GLUE's MRPC and QQP call positive: 0 if nowhere predicted."""
    # Named as the one class averaged over, it need not be one of two.
    return float(_scikit_learn().f1_score(gold, predicted, labels=[1], **_MEAN_OF_F1))


def macro_f1(gold: Classes, predicted: Classes) -> float:
    """The mean of the F1 of each class that is there or is predicted."""
    return float(_scikit_learn().f1_score(gold, predicted, **_MEAN_OF_F1))


def matthews(gold: Classes, predicted: Classes) -> float:
    """Matthews correlation (for more than two classes its generalisation): 0 if one is constant."""
    if collapsed(gold) or collapsed(predicted):
        return 0.0
    return float(_scikit_learn().matthews_corrcoef(gold, predicted))


def auc(gold: Classes, shares: Values) -> float:
    """The area under the ROC curve of two classes, from the probabilities of the second."""
    return float(_scikit_learn().roc_auc_score(gold, shares))


def errors(gold: Values, predicted: Values) -> dict[str, float]:
    """Mean absolute error, root of the mean squared error, and R², which constant values lack."""
    right = np.asarray(gold, np.float64)
    off = np.asarray(predicted, np.float64) - right
    found = {"mae": float(np.abs(off).mean()), "rmse": float(np.sqrt(np.square(off).mean()))}
    spread = right.var()
    return found | ({"r2": float(1 - np.square(off).mean() / spread)} if spread else {})


def pearson(gold: Values, predicted: Values) -> float:
    """Pearson correlation: 0, and a warning, if one is constant."""
    return _correlation("pearsonr", "Pearson", gold, predicted)


def spearman(gold: Values, predicted: Values) -> float:
    """Spearman's rank correlation: 0, and a warning, if one is constant."""
    return _correlation("spearmanr", "Spearman", gold, predicted)


def _scikit_learn() -> Any:
    from sklearn import metrics

    return metrics


def _correlation(function: str, name: str, gold: Values, predicted: Values) -> float:
    from scipy import stats

    sides = {"gold": np.asarray(gold, np.float64), "predicted": np.asarray(predicted, np.float64)}
    for side, values in sides.items():
        if np.all(values == values[0]):
            warnings.warn(
                f"all {len(values)} {side} values are {values[0]:g}: {name} correlation is "
                f"undefined, and 0 is reported",
                RuntimeWarning,
                stacklevel=3,
            )
            return 0.0
    return float(getattr(stats, function)(*sides.values()).statistic)


def collapsed(predicted: Classes) -> bool:
    """True if all are put into one class: a seed whose training failed."""
    return bool(np.all(predicted == predicted[0]))


def combine_windows(
    logits: Float[np.ndarray, "windows labels"], example: Int[np.ndarray, " windows"]
) -> Float[np.ndarray, "examples labels"]:
    """The mean over each example's windows (`Windows.example`).

    A classifier is affine in the pooled vector: these are the logits of the mean pooled vector.
    """
    starts = np.flatnonzero(np.diff(example, prepend=-1))
    counts = np.diff(starts, append=len(example))
    return np.add.reduceat(logits, starts, axis=0) / counts[:, None].astype(logits.dtype)
