"""The sides of a comparison: runs, or the variants of studies, read from their folders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from data.storage.run_folder import CONFIG, read_metrics, read_run_record
from model.errors import InputError
from report.evaluations import BOOKKEEPING, curve_of, kept_evaluation, measured_metrics
from report.naming import FLOORS
from report.panel import Points
from report.results import totals
from report.study.comparison import MIN_SEEDS, interval
from report.study.curves import curves_of_variant, mean_curve
from report.study.folder import STUDY, Study, read_study
from report.tables import duration, listed

# Of a configuration: what differs by nature, and what is told as a fact.
NO_SETTINGS = ("output", "base.output", "facts", "provenance.command", "provenance.started")


@dataclass(frozen=True)
class Side:
    """A run or a variant of a study."""

    name: str
    kind: str
    """Its metrics are those of others of this kind."""
    facts: Mapping[str, str]
    """Sizes and times, as people read them."""
    settings: Mapping[str, Any]
    """By dotted name."""
    metrics: Mapping[str, float]
    """Of the model that is kept; of a variant the means over its seeds."""
    curves: Mapping[str, Points]
    """The held-out metrics over the updates; of a variant the mean over its seeds."""
    intervals: Mapping[str, float] = field(default_factory=dict)
    """Of a variant with enough seeds half the 95 % t interval of each mean."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """The unigram floor of those metrics that have one."""


def read_sides(folders: Sequence[Path]) -> list[Side]:
    """The sides in these folders, in order, with names that differ.

    Raises:
        InputError: a folder holds neither a run nor a study, or has no metrics; there are fewer
            than two sides; they are of different kinds or have no metric in common.
    """
    if not folders:
        raise InputError("RUN is missing: name the folders of two or more runs, or of a study")
    names = _names(folders)
    sides = [
        side
        for folder, name in zip(folders, names, strict=True)
        for side in (
            _of_study(folder, name, len(folders) == 1)
            if (folder / STUDY).exists()
            else [_of_run(folder, name)]
        )
    ]
    first, *rest = sides
    if not rest:
        raise InputError(f"{folders[0]} is a single run: name two or more, or a study")
    for other in rest:
        if other.kind != first.kind:
            raise InputError(
                f"{first.name} is {first.kind} and {other.name} {other.kind}, and their metrics "
                "are different quantities: name runs of one kind"
            )
    if not set.intersection(*(set(side.metrics) for side in sides)):
        raise InputError(f"{listed([side.name for side in sides])} have no metric in common")
    return sides


def _names(folders: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as are needed to tell them apart.

    Raises:
        InputError: a folder is named twice.
    """
    whole = [folder.absolute() for folder in folders]
    for number, path in enumerate(whole):
        if path in whole[:number]:
            raise InputError(f"RUN names {folders[number]} a second time: name each once")
    for count in range(1, max(len(path.parts) for path in whole)):
        names = ["/".join(path.parts[-count:]) for path in whole]
        if len({*names}) == len(names):
            return names
    return [str(path) for path in whole]


def _of_run(folder: Path, name: str) -> Side:
    if not (folder / CONFIG).exists() and (seeds := sorted(folder.glob(f"seed-*/{CONFIG}"))):
        raise InputError(
            f"{folder} has a run for each seed: name them, {seeds[0].parent} and so on"
        )
    run, rows = read_run_record(folder), read_metrics(folder)
    heldout = [row for row in rows if row["kind"] == "heldout"]
    if not heldout:
        raise InputError(f"{folder} has no held-out metrics to compare: it was never evaluated")
    kept, sums = kept_evaluation(run, heldout) or heldout[-1], totals(folder, rows)
    speed = sums["tokens_per_second"]
    facts = {
        "parameters": f"{run.facts.parameters:,}",
        "updates": f"{sums['updates']:,} of {run.facts.total_steps:,}",
        "evaluated after": f"{kept['step']:,} updates",
        "tokens": f"{sums['tokens']:,}",
        "time": duration(sums["seconds"]),
        "tokens a second": "" if speed is None else f"{speed:,.0f}",
    }
    task = run.kind == "finetune"
    return Side(
        name,
        f"a fine-tuning for {run.task}" if task else "a training on text",
        facts,
        _settings(run.settings),
        {metric: kept[metric] for metric in measured_metrics(kept)},
        {metric: curve_of(heldout, metric) for metric in measured_metrics(heldout[-1])},
        floors={metric: kept[floor] for metric, floor in FLOORS.items() if floor in kept},
    )


def _of_study(folder: Path, name: str, alone: bool) -> list[Side]:
    study = read_study(folder)
    if not study.runs:
        raise InputError(f"{folder} has no results to compare: no student is done yet")
    base = _settings({key: study.record.get(key) for key in ("base", "teacher", "provenance")})
    base = {key.removeprefix("base."): value for key, value in base.items()}
    sides = []
    for variant, about in study.variants.items():
        values = {
            metric: [*known[variant].values()]
            for metric in study.metrics()
            if (known := study.values(metric))[variant] and metric not in FLOORS.values()
        }
        if not values:
            continue
        finite = {metric: each for metric, each in values.items() if np.isfinite(each).all()}
        sides.append(
            Side(
                variant if alone else f"{name}: {variant}",
                "a study",
                {
                    "parameters": f"{about.parameters:,}",
                    "updates": f"{study.steps:,}",
                    "seeds": str(max(map(len, values.values()))),
                    "sentences a second": f"{about.sentences_per_second:,.0f}",
                },
                base | dict(about.settings),
                {metric: float(np.mean(each)) for metric, each in finite.items()},
                _mean_curves(study, variant),
                {m: interval(each) for m, each in finite.items() if len(each) >= MIN_SEEDS},
            )
        )
    return sides


def _mean_curves(study: Study, variant: str) -> dict[str, Points]:
    names = {name for run in study.runs for _, metrics in run.curve for name in metrics}
    found = {}
    for name in names - {*FLOORS.values(), *BOOKKEEPING}:
        if curves := curves_of_variant(study, variant, name):
            found[name] = [*zip(*mean_curve(curves), strict=True)]
    return found


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by dotted name, without `NO_SETTINGS`."""
    leaves = flatten_dict(
        {key: value for key, value in config.items() if value is not None}, sep="."
    )
    return {
        name: value
        for name, value in leaves.items()
        if not any(name == left or name.startswith(f"{left}.") for left in NO_SETTINGS)
    }
