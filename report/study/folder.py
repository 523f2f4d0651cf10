"""The folder of a study: what was to be compared, and what was measured.

`study.json` is written before the study runs, and so declares its primary metric:

    {"name": "paper-table-4",
     "title": "What each loss is worth",
     "primary": "masked_lm_accuracy",          any metric of the runs
     "better": "higher",                       which way the primary metric is better, or "lower"
     "reference": "triple loss",               what the other variants are compared with
     "seeds": [1, 2, 3, 4, 5],
     "variants": {
       "triple loss": {"about": "one line", "parameters": 2278016, "bytes": 9112064,
                       "sentences_per_second": 571.0,                       optional
                       "published": null},                                  optional
       "without KL": {..., "published": {"delta": -2.96, "unit": "GLUE points"}}},
     "steps": 200,
     "teacher": "assets/bert-tiny-pydocs",
     "corpus": "pydocs",
     "command": "python -m train.ablate paper-table-4",                     optional
     "seconds": 1234.5}                                                     optional

A published delta is the variant minus the reference of a metric where higher is better. More
fields may stand there; they are kept in results.json. `results.jsonl` has a line a run, in any
order, and may be incomplete. Which metrics a run has is free; a metric that is null was not
measured.

    {"variant": "without KL", "seed": 1,
     "metrics": {"masked_lm_accuracy": 0.21, "masked_lm_loss": 5.67, "top1_agreement": 0.37,
                 "clipped_share": 0.12, "loss_ce": 4.1, "downstream_sst2": 0.7},
     "curve": [[0, {"masked_lm_accuracy": 0.12}], [50, {"masked_lm_accuracy": 0.17}]]}

`loss_` stands before the mean of a loss term at the end of the training, `downstream_` before the
score on a task. The curve, held-out metrics by number of updates, is optional.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data.storage.lines import read_lines
from model.errors import InputError

STUDY, RESULTS = "study.json", "results.jsonl"

Curve = tuple[tuple[int, Mapping[str, float]], ...]


@dataclass(frozen=True)
class Published:
    """What the paper reports of a variant: its difference to the paper's reference."""

    delta: float
    unit: str


@dataclass(frozen=True)
class Variant:
    """One row of the study."""

    about: str
    parameters: int
    bytes: int
    sentences_per_second: float | None
    published: Published | None


@dataclass(frozen=True)
class Run:
    """What one variant came to with one seed."""

    variant: str
    seed: int
    metrics: Mapping[str, float]
    curve: Curve


@dataclass(frozen=True)
class Study:
    """A study and the runs of it that are done."""

    name: str
    title: str
    primary: str
    better: Literal["higher", "lower"]
    reference: str
    seeds: tuple[int, ...]
    variants: Mapping[str, Variant]
    steps: int
    teacher: str
    corpus: str
    command: str | None
    seconds: float | None
    runs: tuple[Run, ...]
    record: Mapping[str, Any]
    """study.json as it is."""

    def values(self, metric: str) -> dict[str, dict[int, float]]:
        """What was measured, by variant (all of them, in their order) and seed."""
        found: dict[str, dict[int, float]] = {name: {} for name in self.variants}
        for run in self.runs:
            if metric in run.metrics:
                found[run.variant][run.seed] = run.metrics[metric]
        return found

    def metrics(self) -> list[str]:
        """Everything that some run measured, in the order of the first that did."""
        return list(dict.fromkeys(name for run in self.runs for name in run.metrics))


def read_study(folder: Path) -> Study:
    """Reads `study.json` and `results.jsonl`; a torn last line (after a kill) is left out.

    Raises:
        InputError: a file is missing, or something in it is not as described above.
    """
    path = folder / STUDY
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no study: it has no {STUDY}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})") from error

    where = str(path)
    variants = {
        name: _variant(value, f"{where}, variant {name!r}")
        for name, value in _get(record, "variants", dict, where).items()
    }
    reference = _get(record, "reference", str, where)
    if reference not in variants:
        known = ", ".join(map(repr, variants))
        raise InputError(f"{where}: the reference {reference!r} is no variant; there are {known}")
    better = _get(record, "better", str, where)
    if better not in ("higher", "lower"):
        raise InputError(f'{where}: "better" is {better!r}, and must be "higher" or "lower"')
    seeds = _get(record, "seeds", list, where)
    if not all(_is(seed, int) for seed in seeds):
        raise InputError(f"{where}: the seeds are {seeds}, and must be integers")
    primary = _get(record, "primary", str, where)
    runs = _runs(folder / RESULTS, set(variants), set(seeds))
    measured = sorted({name for run in runs for name in run.metrics})
    if runs and primary not in measured:
        raise InputError(
            f"{where}: no run has the primary metric {primary!r}; there are {', '.join(measured)}"
        )
    return Study(
        name=_get(record, "name", str, where),
        title=_get(record, "title", str, where),
        primary=primary,
        better=better,
        reference=reference,
        seeds=tuple(seeds),
        variants=variants,
        steps=_get(record, "steps", int, where),
        teacher=_get(record, "teacher", str, where),
        corpus=_get(record, "corpus", str, where),
        command=_get(record, "command", str, where, optional=True),
        seconds=_get(record, "seconds", float, where, optional=True),
        runs=runs,
        record=record,
    )


def _variant(record: Any, where: str) -> Variant:
    published = _get(record, "published", dict, where, optional=True)
    if published is not None:
        delta = _get(published, "delta", float, f"{where}, published")
        published = Published(delta, _get(published, "unit", str, f"{where}, published"))
    return Variant(
        about=_get(record, "about", str, where),
        parameters=_get(record, "parameters", int, where),
        bytes=_get(record, "bytes", int, where),
        sentences_per_second=_get(record, "sentences_per_second", float, where, optional=True),
        published=published,
    )


def _runs(path: Path, variants: set[str], seeds: set[int]) -> tuple[Run, ...]:
    if not path.is_file():
        raise InputError(f"{path.parent} has no {RESULTS}: run the study first")
    runs: dict[tuple[str, int], Run] = {}
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}, line {number}"
        if not line.endswith("\n"):
            break
        try:
            run = _run(json.loads(line), where)
        except json.JSONDecodeError as error:
            raise InputError(f"{where} is not JSON: {line[:40]!r}") from error
        if run.variant not in variants:
            raise InputError(f"{where}: {STUDY} has no variant {run.variant!r}")
        if run.seed not in seeds:
            raise InputError(f"{where}: {STUDY} has no seed {run.seed}")
        if (run.variant, run.seed) in runs:
            raise InputError(f"{where} is a second run of {run.variant!r} with seed {run.seed}")
        runs[run.variant, run.seed] = run
    return tuple(runs.values())


def _run(record: Any, where: str) -> Run:
    return Run(
        variant=_get(record, "variant", str, where),
        seed=_get(record, "seed", int, where),
        metrics=_numbers(_get(record, "metrics", dict, where), where),
        curve=_curve(_get(record, "curve", list, where, optional=True) or [], where),
    )


def _curve(points: list[Any], where: str) -> Curve:
    curve = []
    for point in points:
        match point:
            case [int(step), dict(metrics)]:
                curve.append((step, _numbers(metrics, where)))
            case _:
                raise InputError(f"{where}: a point of a curve is [updates, {{metric: value}}]")
    return tuple(curve)


def _numbers(metrics: dict[str, Any], where: str) -> dict[str, float]:
    measured = {name: value for name, value in metrics.items() if value is not None}
    return {name: _get(measured, name, float, where) for name in measured}


def _get(record: Any, name: str, kind: type, where: str, *, optional: bool = False) -> Any:
    """The field `name`, of the type `kind`; None where an optional one is missing or null."""
    if not isinstance(record, dict):
        raise InputError(f"{where} is no JSON object")
    value = record.get(name)
    if value is None and optional:
        return None
    if not _is(value, kind):
        wanted = {str: "text", int: "an integer", float: "a number", dict: "an object"}
        is_now = "missing" if value is None else f"{value!r:.40}"
        raise InputError(f"{where}: {name!r} is {is_now}, and must be {wanted.get(kind, 'a list')}")
    return kind(value)  # an integer is a number too


def _is(value: Any, kind: type) -> bool:
    kinds = (int, float) if kind is float else kind
    return isinstance(value, kinds) and not isinstance(value, bool)
