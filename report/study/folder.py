"""The folder of a study: its declaration and its results.

`study.json` is written before the study runs, and so declares its primary metric:

    {"name": "paper-table-4",
     "title": "What each loss is worth",
     "primary": "masked_lm_accuracy",          any metric of the runs
     "better": "higher",                       or "lower": the direction in which it is better
     "reference": "triple loss",               the variant that the others are compared with,
                                               unless they name another, as "against"
     "seeds": [1, 2, 3, 4, 5],
     "variants": {
       "triple loss": {"about": "one line", "parameters": 2278016, "bytes": 9112064,
                       "sentences_per_second": 571.0, "published": null},
       "without KL": {..., "settings": {"loss.ce.weight": 0},      what differs from the base
                      "published": {"delta": -2.96, "unit": "GLUE points"}}},
     "steps": 200,
     "teacher": "assets/bert-tiny-pydocs",
     "corpus": "pydocs",
     "command": "python -m train.ablate paper-table-4",
     "seconds": 1234.5}

With another number of updates than the study a variant has "steps", and in a study of sizes and
updates "operations"; with "levels" those of each factor that variants are crossed with, and
"gradient_norms" by term where its weights were divided by these. "seeds_added" tells which
seeds were added, on which day, and after the results of how many; "file" names a study's TOML file,
and "search" tells how variants were chosen (report/study/search.py).

A published delta is the variant minus the reference of a metric where higher is better. Other
fields are allowed, and kept in results.json; the report also reads `base`, the configuration that
all share, and `provenance`. `results.jsonl` has a line a run, in any order, and
may be incomplete. A run may have any metrics.

    {"variant": "without KL", "seed": 1,
     "metrics": {"masked_lm_accuracy": 0.21, "masked_lm_loss": 5.67, "top1_agreement": 0.37,
                 "clipped_share": 0.12, "loss_ce": 4.1, "downstream_sst2": 0.7},
     "curve": [[0, {"masked_lm_accuracy": 0.12}], [50, {"masked_lm_accuracy": 0.17}]]}

`loss_TERM` is the mean of a loss term at the end of the training, `downstream_TASK` the score on a
task.

Optional are the curve, held-out metrics by number of updates; "gradients", numbers on those of the
terms by update (report/gradients.py); and, where every student was fine-tuned several times,
"fine_tunings", the scores whose means are the metrics: {"downstream_sst2": [0.69, 0.71]}.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from data.storage.run_folder import json_rows
from model.errors import InputError
from model.hf.config import read_settings
from model.typed import as_type
from report.study.search import VariantSearch

STUDY, RESULTS = "study.json", "results.jsonl"
STUDY_FILE = "study.toml"
"""The file that a study was read from, as it was."""


@dataclass(frozen=True)
class PublishedDelta:
    """A variant's difference to the reference in the paper."""

    delta: float
    unit: str


@dataclass(frozen=True)
class VariantRecord:
    """One row of the study, as study.json has it."""

    about: str
    parameters: int
    bytes: int
    sentences_per_second: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings that differ from the base, by dotted name."""
    published: PublishedDelta | None = None
    against: str | None = None
    """The variant that it is compared with, by default the study's reference."""
    steps: int | None = None
    """Its updates, where they are not those of the study."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """Its level of each factor, where variants are crossed with conditions."""
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    """Of its terms at the start, where its weights are divided by them."""
    operations: float | None = None
    """Those of all matrix products of its training alone, in a study of sizes and updates."""


@dataclass(frozen=True)
class SeedsAdded:
    """Seeds that a study did not declare at first."""

    seeds: tuple[int, ...]
    after: int
    """The number of seeds whose results were there."""
    on: str
    """The date."""


@dataclass(frozen=True)
class StudentResult:
    """The measurements of one student: of one variant with one seed."""

    variant: str
    seed: int
    metrics: Mapping[str, float]
    curve: tuple[tuple[int, Mapping[str, float]], ...] = ()
    gradients: tuple[tuple[int, Mapping[str, float]], ...] = ()
    """Of its terms, by the number of the update (report/gradients.py)."""
    fine_tunings: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The scores of each fine-tuning on a task, by metric, where there were several."""


@dataclass(frozen=True)
class Study:
    """A study and the students of it that are done."""

    name: str
    title: str
    primary: str
    better: Literal["higher", "lower"]
    reference: str
    seeds: tuple[int, ...]
    variants: Mapping[str, VariantRecord]
    steps: int
    teacher: str
    corpus: str
    command: str | None
    """None if a notebook started it."""
    seconds: float
    seeds_added: tuple[SeedsAdded, ...] = ()
    file: str | None = None
    """The name of the file that declared it; None for a study that ships."""
    search: VariantSearch | None = None
    """The search that the variants have won; None where they were declared."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """study.json as it is."""
    runs: tuple[StudentResult, ...] = ()

    def references(self) -> dict[str, str]:
        """The variant that each is compared with, itself for a reference."""
        each = {name: known.against or self.reference for name, known in self.variants.items()}
        return each | {name: name for name in each.values()}

    def setting(self, variant: str, name: str) -> Any:
        """A variant's setting by its dotted name; None where study.json does not tell it."""
        own = self.variants[variant].settings
        return own[name] if name in own else of_base(self.record, name)

    def values(self, metric: str) -> dict[str, dict[int, float]]:
        """The values of a metric, by variant (all of them, in their order) and seed."""
        found: dict[str, dict[int, float]] = {name: {} for name in self.variants}
        for run in self.runs:
            if metric in run.metrics:
                found[run.variant][run.seed] = run.metrics[metric]
        return found

    def fine_tunings(self, metric: str) -> dict[str, dict[int, tuple[float, ...]]]:
        """The scores of all fine-tunings of a metric, by variant and seed, where there are any."""
        found: dict[str, dict[int, tuple[float, ...]]] = {name: {} for name in self.variants}
        for run in self.runs:
            if metric in run.fine_tunings:
                found[run.variant][run.seed] = run.fine_tunings[metric]
        return found

    def metrics(self) -> list[str]:
        """The names of all metrics that some run has."""
        return list(dict.fromkeys(name for run in self.runs for name in run.metrics))


def of_base(record: Mapping[str, Any], name: str) -> Any:
    """A setting that all variants share, by its dotted name; None where it is not recorded."""
    value: Any = record.get("base")
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def read_declaration(folder: Path) -> Study:
    """Reads `study.json`, and none of the results.

    Raises:
        InputError: it is missing, or something in it is not as described above.
    """
    path = folder / STUDY
    if not path.exists():
        raise InputError(f"{folder} holds no study: it has no {STUDY}")
    record = read_settings(path)
    study = as_type(Study, record, str(path))
    if study.reference not in study.variants:
        known = ", ".join(map(repr, study.variants))
        raise InputError(
            f"{path}: the reference {study.reference!r} is no variant; there are {known}"
        )
    for name, variant in study.variants.items():
        against = study.variants.get(variant.against or study.reference)
        if against is None or against.against is not None:
            raise InputError(
                f"{path}: {name!r} is compared with {variant.against or study.reference!r}, which "
                "must be a variant that is compared with no other"
            )
    if not 0 <= study.seconds < math.inf:
        raise InputError(f"{path}: seconds is {study.seconds}, and must be a time, 0 or more")
    return replace(study, record=record)


def read_study(folder: Path) -> Study:
    """Reads `study.json` and `results.jsonl`; a torn last line (after a kill) is left out.

    Raises:
        InputError: a file is missing, or something in it is not as described above.
    """
    study = read_declaration(folder)
    study = replace(study, runs=read_results(folder / RESULTS, study))
    measured = study.metrics()
    if measured and study.primary not in measured:
        raise InputError(
            f"{folder / STUDY}: no run has the primary metric {study.primary!r}; there are "
            f"{', '.join(sorted(measured))}"
        )
    return study


def read_results(path: Path, study: Study) -> tuple[StudentResult, ...]:
    """Reads a file like `results.jsonl`, of a study or of a part of it.

    Raises:
        InputError: it is missing, or a line is not as described above.
    """
    if not path.is_file():
        raise InputError(f"{path.parent} has no {RESULTS}: run the study first")
    results: dict[tuple[str, int], StudentResult] = {}
    for number, record in enumerate(json_rows(path), start=1):
        where = f"{path}, line {number}"
        result = as_type(StudentResult, record, where)
        if result.variant not in study.variants:
            raise InputError(f"{where}: {STUDY} has no variant {result.variant!r}")
        if result.seed not in study.seeds:
            raise InputError(f"{where}: {STUDY} has no seed {result.seed}")
        if (result.variant, result.seed) in results:
            raise InputError(
                f"{where} is a second run of {result.variant!r} with seed {result.seed}"
            )
        results[result.variant, result.seed] = result
    return tuple(results.values())
