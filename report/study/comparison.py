"""Statistics of a study: the variants' differences to the reference, and how sure they are.

A seed is a block: inside it every variant saw the same batches and masks, so what is compared is
the difference to the reference *within* each seed (a paired t test). With n seeds, differences
of mean d and standard deviation s,

    interval    d ± t(0.975, n - 1) s / √n
    p           2 P(T > |d| √n / s),  T of Student's t distribution with n - 1 degrees of freedom

and the p values of all variants of a study are corrected together by Holm's method (Holm 1979, "A
simple sequentially rejective multiple test procedure"): with a probability of at least 95 % none
of the variants that equal the reference is reported to differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

MIN_SEEDS = 5
"""With fewer there are values, but no interval and no p value."""
ALPHA, POWER = 0.05, 0.8

BySeed = Mapping[int, float]
"""The values of a metric, by seed."""


@dataclass(frozen=True)
class Difference:
    """A variant minus the reference, over the seeds that all variants share."""

    values: BySeed
    mean: float
    deviation: float | None = None
    """The standard deviation of `values`."""
    interval: float | None = None
    """Half the width of the 95 % t interval of the mean."""
    p: float | None = None
    """Of the paired t test, two-sided."""
    p_holm: float | None = None
    """The same, corrected for all variants of the comparison."""
    detectable: float | None = None
    """The smallest true difference that so many seeds would find, see `detectable`."""

    @property
    def distinguishable(self) -> bool:
        """True if it differs from zero at the level ALPHA after Holm's correction."""
        return self.p_holm is not None and self.p_holm < ALPHA


@dataclass(frozen=True)
class VariantComparison:
    """One variant on one metric."""

    values: BySeed
    """All values, also those of seeds that other variants lack."""
    mean: float | None
    """Over the shared seeds; None where there is none or a value is not finite."""
    difference: Difference | None
    """None for a reference and where there is no mean."""
    reference: str
    """The variant that it is compared with; itself for a reference."""


@dataclass(frozen=True)
class Comparison:
    """All variants on one metric."""

    metric: str
    seeds: tuple[int, ...]
    """The seeds of which every variant has a value: the blocks of the comparison."""
    rows: Mapping[str, VariantComparison]

    def groups(self) -> dict[str, list[str]]:
        """The variants that are compared with each reference, by its name; it is not among them."""
        found: dict[str, list[str]] = {row.reference: [] for row in self.rows.values()}
        for name, row in self.rows.items():
            if name != row.reference:
                found[row.reference].append(name)
        return found


def compare_variants(
    metric: str, values: Mapping[str, BySeed], references: str | Mapping[str, str]
) -> Comparison:
    """The differences of all variants to their references, seed by seed.

    `values` are by variant and seed; seeds and even a reference may be missing. `references` is the
    reference of all, or has that of each variant (itself for a reference). A variant without any
    value has no row. Neither a variant with a value that is not finite nor one whose
    differences are all equal is tested: the t test is undefined there.
    """
    values = {name: dict(sorted(known.items())) for name, known in values.items() if known}
    seeds = tuple(sorted(set.intersection(*map(set, values.values())))) if values else ()
    means: dict[str, float | None] = {}
    for name, known in values.items():
        shared = [known[seed] for seed in seeds]
        means[name] = float(np.mean(shared)) if shared and np.isfinite(shared).all() else None
    if isinstance(references, str):
        references = dict.fromkeys(values, references)
    found = {
        name: paired_difference(known, values[reference], seeds)
        for name, known in values.items()
        if (reference := references[name]) != name
        and None not in (means[name], means.get(reference))
    }
    tested = {name: each.p for name, each in found.items() if each.p is not None}
    for name, p_holm in zip(tested, holm(list(tested.values())), strict=True):
        found[name] = replace(found[name], p_holm=p_holm)
    rows = {
        name: VariantComparison(values[name], means[name], found.get(name), references[name])
        for name in values
    }
    return Comparison(metric, seeds, rows)


def paired_difference(values: BySeed, reference: BySeed, seeds: Sequence[int]) -> Difference:
    """The differences in `seeds`; from MIN_SEEDS on, with interval, p and detectable difference."""
    from scipy import stats

    each = {seed: values[seed] - reference[seed] for seed in seeds}
    numbers = np.array(list(each.values()))
    mean, count = float(numbers.mean()), len(numbers)
    if count < 2:
        return Difference(each, mean)
    deviation = float(numbers.std(ddof=1))
    size = max(abs(side[seed]) for side in (values, reference) for seed in seeds)
    if np.ptp(numbers) <= 1e-9 * size:  # the same but for rounding
        return Difference(each, mean, 0.0)
    if count < MIN_SEEDS:
        return Difference(each, mean, deviation)
    t = mean / (deviation / count**0.5)
    return Difference(
        each,
        mean,
        deviation,
        interval=interval(list(each.values())),
        p=2 * float(stats.t.sf(abs(t), count - 1)),
        detectable=detectable(deviation, count),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p values: the k-th smallest of m times m - k + 1, monotone, at most 1."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    factors = np.arange(len(p_values), 0, -1)
    corrected[order] = np.maximum.accumulate(np.array(p_values)[order] * factors)
    return np.minimum(corrected, 1.0).tolist()


def detectable(deviation: float, count: int, power: float = POWER) -> float:
    """The smallest true difference that a paired t test finds with probability `power`.

    It is δ = λ s / √n with the λ that solves P(|T| > t(1 - α/2, n - 1)) = power, where T has the
    noncentral t distribution with n - 1 degrees of freedom and noncentrality λ, s is the
    `deviation` of the differences, n the `count` of seeds, at least 2, and α the level ALPHA of the
    two-sided test, below `power`. Before Holm's correction; from few seeds s is a rough estimate.
    """
    from scipy import optimize, stats

    critical = float(stats.t.ppf(1 - ALPHA / 2, count - 1))

    def missing(noncentrality: float) -> float:
        above = stats.nct.sf(critical, count - 1, noncentrality)
        below = stats.nct.cdf(-critical, count - 1, noncentrality)
        return power - float(above + np.nan_to_num(below))  # NaN where it would be below 1e-15

    # The power grows with the noncentrality, from alpha at 0 to nearly 1 where we stop.
    found = optimize.root_scalar(missing, bracket=(1e-6, 4 * critical + 10))
    return float(found.root) * deviation / count**0.5


def interval(values: Sequence[float]) -> float:
    """Half the width of the 95 % t interval of the mean of at least two values."""
    from scipy import stats

    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(stats.t.ppf(0.975, len(values) - 1)) * error
