"""Learning curves of a study's students."""

from collections.abc import Sequence

import numpy as np

from report.study.folder import Study

Curve = dict[int, float]
"""The values of a metric by the number of updates."""


def curves_of_variant(study: Study, variant: str, metric: str) -> list[Curve]:
    """The finite values of a metric by update, for each run of a variant that has some."""
    own = [run.curve for run in study.runs if run.variant == variant]
    curves = [
        {step: values[metric] for step, values in curve if np.isfinite(values.get(metric, np.nan))}
        for curve in own
    ]
    return [points for points in curves if points]


def mean_curve(curves: Sequence[Curve]) -> tuple[list[int], list[float]]:
    """The mean at the updates that all curves have."""
    steps = sorted(set.intersection(*map(set, curves)))
    return steps, [float(np.mean([points[step] for points in curves])) for step in steps]
