"""Held-out loss against the operations of training: a power law over the students of a study.

Of students that differ in size and in updates those count that are the best for their compute: none
with as few operations has a smaller loss, in the mean over seeds. With C the operations and L the
loss (Kaplan et al. 2020, equation 1.3),

    L = A C^-b,    ln L = ln A - b ln C,

is fitted by least squares in each seed. The slope is linear in ln L, so the mean of the seeds'
slopes is the slope of their means, and has a t interval over seeds like every other mean of a
study. There is no irreducible loss: short trainings cover too little compute to tell one, so the
exponent is that of the range that was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from report.naming import MINUS, digits_to_show
from report.study.comparison import MIN_SEEDS, Comparison, interval
from report.study.folder import Study

HELDOUT_LOSS = "masked_lm_loss"
MIN_STUDENTS = 3
"""Two points are always on a line."""


@dataclass(frozen=True)
class PowerLaw:
    """L = `factor` · C^-`exponent`."""

    exponent: float
    interval: float
    """Half the width of the 95 % t interval of the exponent over seeds."""
    factor: float
    residual: float
    """The largest distance of a student's mean from the law, as a share of the loss."""

    def __call__(self, operations: float) -> float:
        """The loss after so many operations."""
        return self.factor * operations**-self.exponent


@dataclass(frozen=True)
class Scaling:
    """The students of a study by what they cost, and the law that the best of them follow."""

    operations: Mapping[str, float]
    """Of the whole training of each student that has a loss, by variant."""
    losses: Mapping[str, float]
    """Held-out, the means over seeds."""
    seeds: int
    best: tuple[str, ...]
    """The students that are the best for their compute, the cheapest first."""
    law: PowerLaw | None
    """None with too few seeds or students."""

    @property
    def conclusion(self) -> str:
        """One sentence: the exponent with its interval, or why there is none."""
        count = len(self.best)
        which = f"{count} of {len(self.operations)} students are the best for their compute"
        if self.law is None:
            why = f"and a law needs {MIN_STUDENTS}"
            if count >= MIN_STUDENTS:
                seeds = "one seed" if self.seeds == 1 else f"{self.seeds} seeds"
                why = f"but its interval needs {MIN_SEEDS} seeds, and there are results of {seeds}"
            return f"No power law of the compute is fitted: {which}, {why}."
        law = self.law
        digits = digits_to_show(law.interval, 3)
        exponent = f"{-law.exponent:.{digits}f}".replace("-", MINUS)
        unsure = "" if abs(law.exponent) > law.interval else ", which cannot be told from 0"
        return (
            f"{which}; of these the held-out masked-LM loss falls as compute to the power of "
            f"{exponent} ± {law.interval:.{digits}f}{unsure} (95 % t interval over {self.seeds} "
            f"seeds), and no mean is more than {100 * law.residual:.2g} % from that law."
        )


def scaling_of(study: Study, comparisons: Mapping[str, Comparison]) -> Scaling | None:
    """The scaling of a study whose variants differ in size and in updates; None for others."""
    losses = comparisons.get(HELDOUT_LOSS)
    if losses is None:
        return None
    means = {name: row.mean for name, row in losses.rows.items() if row.mean is not None}
    counted = {name: variant.operations for name, variant in study.variants.items()}
    operations = {name: of for name, of in counted.items() if of and name in means}
    if not operations:
        return None
    best = best_for_compute(operations, means)
    law = None
    if len(best) >= MIN_STUDENTS and len(losses.seeds) >= MIN_SEEDS:
        each = [[losses.rows[name].values[seed] for name in best] for seed in losses.seeds]
        law = fit_power_law(np.array([operations[name] for name in best]), np.array(each))
    means = {name: means[name] for name in operations}
    return Scaling(operations, means, len(losses.seeds), best, law)


def best_for_compute(
    operations: Mapping[str, float], losses: Mapping[str, float]
) -> tuple[str, ...]:
    """The students of which none with as few operations has as small a loss, cheapest first."""
    best: list[str] = []
    for name in sorted(operations, key=lambda name: (operations[name], losses[name])):
        if not best or losses[name] < losses[best[-1]]:
            best.append(name)
    return tuple(best)


def fit_power_law(
    operations: Float64[np.ndarray, " students"], losses: Float64[np.ndarray, "seeds students"]
) -> PowerLaw:
    """The power law of students, of at least two different costs, over at least two seeds."""
    compute, logs = np.log(operations), np.log(losses)
    centred = compute - compute.mean()
    slopes = logs @ centred / (centred @ centred)
    slope = float(slopes.mean())
    level = float(logs.mean())
    means = logs.mean(axis=0)
    return PowerLaw(
        exponent=-slope,
        interval=interval(slopes.tolist()),
        factor=float(np.exp(level - slope * compute.mean())),
        residual=float(np.abs(np.expm1(means - level - slope * centred)).max()),
    )
