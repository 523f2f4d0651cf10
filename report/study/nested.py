"""Two sources of chance in a score on a task: the seed of the student, and that of its fine-tuning.

Of n students with k fine-tunings each, the score y_ij varies with the student i and, within it,
with the fine-tuning j. Both variances are estimated by the one-way analysis of variance (Searle,
Casella and McCulloch 1992, "Variance Components", section 3.5), with means over j and over all:

    within    w = Σ (y_ij - y_i)² / (n (k - 1))
    between   b = Σ (y_i - y)² / (n - 1) - w / k,  and 0 where that is below

The mean of all varies by (b + w / k) / n. That is the variance of the n means divided by n: so the
tests of a study, which are over students, hold as they are, and more fine-tunings of the same
students make only w / k smaller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from report.markdown import Markdown, escaped, text_table
from report.naming import label, width, written
from report.study.comparison import Comparison, detectable
from report.study.folder import Study
from report.study.tables import difference_in_print


@dataclass(frozen=True)
class Components:
    """Standard deviations of a score."""

    between: float | None
    """Between students, without what their fine-tunings add to it; None of a single student."""
    within: float
    """Between the fine-tunings of a student."""


def components(scores: Float64[np.ndarray, "students fine_tunings"]) -> Components:
    """The standard deviations of scores, of at least two fine-tunings each."""
    rounding = (1e-9 * np.abs(scores).max()) ** 2

    def deviation(variance: float) -> float:
        return float(variance) ** 0.5 if variance > rounding else 0.0

    within = scores.var(axis=1, ddof=1).mean()
    if len(scores) < 2:
        return Components(None, deviation(within))
    of_means = scores.mean(axis=1).var(ddof=1)
    return Components(deviation(of_means - within / scores.shape[1]), deviation(within))


def nested_sections(study: Study, comparisons: Mapping[str, Comparison]) -> list[str]:
    """A table for each task that every student was fine-tuned on several times; [] without one."""
    parts = []
    for metric, comparison in comparisons.items():
        scores = study.fine_tunings(metric)
        if any(scores.values()) and comparison.seeds:
            parts += [f"### {escaped(label(metric))}", nested_table(comparison, scores)]
    if not parts:
        return []
    return ["## Seeds of the students and of their fine-tunings", *parts, HOW_TO_READ_NESTED]


HOW_TO_READ_NESTED = (
    "Every student was fine-tuned several times. The standard deviations are those between "
    "students, which differ in the seed of their training, and between the fine-tunings of one "
    "student, from an analysis of variance; those of a difference are of variant minus reference, "
    "student by student and fine-tuning by fine-tuning. “Detectable” is the smallest true "
    "difference that so many students and fine-tunings find with a probability of 80 % (two-sided "
    "paired t test over the means of the students at 0.05). Below it, a difference that was not "
    "found is “not resolved”."
)

FineTunings = Mapping[str, Mapping[int, Sequence[float]]]
"""Of fine-tunings, by variant and seed of the student."""


def nested_table(comparison: Comparison, scores: FineTunings) -> Markdown:
    """A row a variant: its score and the difference to the reference, each with both deviations."""
    metric, seeds = comparison.metric, comparison.seeds
    deviations = ["deviation between students", "between fine-tunings"]
    header = ["", "mean", *deviations, "difference", f"its {deviations[0]}", deviations[1]]
    lines = []
    for name, row in comparison.rows.items():
        own = [scores[name].get(seed, ()) for seed in seeds]
        cells = [name, written(metric, row.mean, decimals=2), *_deviations(metric, own)]
        found = row.difference
        if found is None:
            lines.append([*cells, "", "", "", ""])
            continue
        theirs = [scores[row.reference].get(seed, ()) for seed in seeds]
        both = zip(own, theirs, strict=True)
        pairs = [np.subtract(a, b) for a, b in both if len(a) == len(b)]
        least = detectable(found.deviation, len(seeds)) if found.deviation else None
        lines.append(
            [
                *cells,
                difference_in_print(metric, found, least),
                *_deviations(metric, pairs),
                "" if least is None else width(metric, least),
            ]
        )
    return text_table([*header, "detectable"], lines)


def _deviations(metric: str, scores: Sequence[Any]) -> list[str]:
    """Both deviations in print; "" where a student was fine-tuned once, or has no finite score."""
    lengths = {len(each) for each in scores}
    if len(lengths) != 1 or min(lengths) < 2 or not np.isfinite(scores).all():
        return ["", ""]
    found = components(np.asarray(scores, np.float64))
    return ["" if size is None else width(metric, size) for size in (found.between, found.within)]
