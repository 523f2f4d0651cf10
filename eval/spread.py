"""How sure a mean over seeds is."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def interval(values: Sequence[float]) -> float:
    """Half the width of the 95 % t interval of the mean of at least two values."""
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(stats.t.ppf(0.975, len(values) - 1)) * error
