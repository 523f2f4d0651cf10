"""Results of a search."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Hit(NamedTuple):
    """Document that was found."""

    row: int
    """In its corpus."""
    score: float


def best_of(scores: Float[np.ndarray, " documents"], k: int) -> list[Hit]:
    """The documents with the `k` highest scores above 0; of equal ones the first rows."""
    k = min(k, len(scores))
    least = np.partition(scores, -k)[-k]
    rows = np.flatnonzero((scores >= least) & (scores > 0))
    rows = rows[np.argsort(-scores[rows], kind="stable")][:k]
    return [Hit(int(row), float(scores[row])) for row in rows]
