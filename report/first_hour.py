"""The first hour of a long run: is it where it is expected to be?

A recipe may state bands for its first updates. They are wide: they find a run that does not learn,
that diverges or that waits, and no other mistake.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.storage.run_folder import RunDevices, RunRecord, without_compilation
from model.typed import as_type
from report.markdown import escaped, text_table
from report.tables import listed

Band = tuple[float, float]
Recorded = Mapping[str, Any]

UPDATES_COMPARED = 20
"""Updates whose median is compared: a single one is noisy."""


@dataclass(frozen=True)
class Milestone:
    """Bands after some updates."""

    update: int
    loss: Band
    grad_norm: Band


@dataclass(frozen=True)
class DeviceSpeed:
    """Tokens of text a second on each device of a kind."""

    device: str
    """The beginning of JAX's name of the kind."""
    tokens_per_second: Band


@dataclass(frozen=True)
class FirstHour:
    """All bands of a recipe. They hold for the recipe as it is, with no setting changed."""

    milestones: tuple[Milestone, ...]
    speeds: tuple[DeviceSpeed, ...]
    source: str
    """Where the bands are from, for people."""


def first_hour(run: RunRecord, train: Sequence[Recorded]) -> list[str]:
    """The part of a run's report that compares its updates with the bands of its recipe.

    Args:
        run: of the report.
        train: the rows of its updates.
    """
    if not run.settings.get("first_hour"):
        return []
    expected = as_type(FirstHour, run.settings["first_hour"], "config.json", "first_hour")
    lines, outside = [], []
    for milestone in expected.milestones:
        recorded = [row for row in train if row["step"] <= milestone.update]
        if not recorded or recorded[-1]["step"] < milestone.update:
            continue
        for name, (low, high) in _bands(expected, milestone, run.provenance.devices).items():
            rows = without_compilation(recorded) if name == "tokens_per_second" else recorded
            values = [row[name] for row in rows[-UPDATES_COMPARED:] if name in row]
            if not values:
                continue
            found = statistics.median(values)
            inside = low <= found <= high
            what = f"{_TITLES[name]} after {milestone.update:,} updates"
            where = "inside" if inside else "outside"
            lines.append([what, f"{found:,.4g}", f"{low:,.4g} to {high:,.4g}", where])
            outside += [] if inside else [what]
    if not lines:
        return []
    verdict = "All numbers are where they are expected."
    if outside:
        verdict = f"Not where it is expected: {listed(outside)}. Look at the curves first."
    return [
        "## The first hour",
        f"{verdict} Medians of {UPDATES_COMPARED} updates; the bands are those of the recipe with "
        f"no setting changed, {escaped(expected.source)}.",
        text_table(["", "found", "expected", ""], lines),
    ]


def _bands(expected: FirstHour, milestone: Milestone, devices: RunDevices) -> dict[str, Band]:
    bands = {"loss": milestone.loss, "grad_norm": milestone.grad_norm}
    for speed in expected.speeds:
        if devices.kind.startswith(speed.device):
            low, high = speed.tokens_per_second
            bands["tokens_per_second"] = (low * devices.count, high * devices.count)
    return bands


_TITLES = {
    "loss": "loss",
    "grad_norm": "norm of the gradient",
    "tokens_per_second": "tokens of text a second",
}
