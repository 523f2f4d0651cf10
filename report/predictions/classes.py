"""Scores by class, or by type of entity, as a table."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from report.naming import written
from tasks.kind import ClassScore


def class_table(
    each: Sequence[Mapping[str, ClassScore]],
) -> tuple[list[str], list[list[str]]]:
    """The heading and the lines of a table of classes; of several models the means."""
    names = list(dict.fromkeys(name for scores in each for name in scores))
    lines = []
    for name in names:
        # A class that a model neither finds nor should find is missing there.
        found = [scores.get(name, ClassScore(0.0, 0.0, 0.0, 0)) for scores in each]
        means = [fmean(column) for column in zip(*(score[:3] for score in found), strict=True)]
        lines.append([name, *(written("f1", mean) for mean in means), f"{found[0].count:,}"])
    return ["", "precision", "recall", "F1", "examples"], lines
