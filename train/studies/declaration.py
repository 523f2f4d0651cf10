"""The study.json of a study (report/study/folder.py): written before it runs, never changed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from data.storage.atomic import make_folder, write_text
from data.storage.provenance import (
    changed_fields,
    command_line,
    provenance,
    to_jsonable,
    write_json_atomic,
)
from model.errors import InputError
from model.hf.temporaries import contents
from report.reading_speed import sentences_per_second, sizes
from report.study.folder import (
    STUDY,
    STUDY_FILE,
    SeedsAdded,
    Study,
    VariantRecord,
    read_declaration,
)
from train.config import DistillConfig
from train.loop.fit_text import facts
from train.loop.folder import FREE as OF_RUN
from train.objectives.projection import student_of
from train.studies.cohort import Cohort
from train.studies.config import HALVING, TUNING, StudyConfig
from train.studies.operations import update_operations
from train.studies.results import DONE

# Fields that another command for the same study may change.
MAY_CHANGE = frozenset(
    {"command", "seconds", "provenance", "seeds_added", "file"}
    | {f"base.{name}" for name in OF_RUN}
)


def declare(study: StudyConfig, cohorts: Sequence[Cohort]) -> None:
    """Writes study.json, or checks that the one that is there declares this very study.

    Raises:
        InputError: the folder holds another study; the message names what differs.
    """
    path = study.base.output / STUDY
    old = read_declaration(path.parent) if path.exists() else None
    record = {
        "name": study.name,
        "title": study.title,
        "primary": study.primary,
        "better": study.better,
        "reference": study.variants[0].name,
        "seeds": [study.base.seed + number for number in range(study.seeds)],
        "variants": _variants(study, cohorts, {} if old is None else old.variants),
        "base": study.base,
        "facts": facts(cohorts[0].data),
        "steps": cohorts[0].steps,
        "teacher": study.base.teacher,
        "corpus": cohorts[0].data.corpus.name,
        "downstream": {
            "tasks": study.downstream,
            "data": study.task_data,
            "epochs": study.task_epochs,
            "learning_rate": study.task_learning_rate,
            # Not in the record of a study that was declared before there were any.
            **({"tune": study.task_tune} if study.task_tune else {}),
            **({} if study.task_seeds == 1 else {"seeds": study.task_seeds}),
        },
        **({} if study.file is None else {"file": study.file.name}),
        **({} if study.search is None else {"search": study.search}),
        "command": command_line(),
        "seconds": 0.0,
        "provenance": provenance(),
    }
    if old is None:
        own = {TUNING} if study.search is None else {TUNING, HALVING}
        if any(entry.name not in own for entry in contents(path.parent)):
            raise InputError(
                f"{path.parent} is not empty and holds no study: choose another folder with "
                "--output"
            )
        make_folder(path.parent)
        if study.file is not None:
            write_text(path.with_name(STUDY_FILE), study.file.read_text(encoding="utf-8"))
        write_json_atomic(path, record)
        return
    known = _with_more_seeds(path.parent, old, tuple(record["seeds"]))
    changed = changed_fields(known, to_jsonable(record), ignore=MAY_CHANGE)
    if changed:
        raise InputError(
            f"{path.parent} holds another study, which declared another {changed[0]}: give the old "
            "value to resume it, or choose another folder with --output"
        )
    if known is not old.record:
        write_json_atomic(path, known)


def _with_more_seeds(folder: Path, old: Study, seeds: tuple[int, ...]) -> Mapping[str, Any]:
    """The record of a study, with those seeds that another command adds, and what was seen then."""
    first = len(old.seeds)
    if len(seeds) <= first or seeds[:first] != old.seeds:
        return old.record
    record = {**old.record, "seeds": list(seeds)}
    if done := len(list(folder.glob(f"seed-*/{DONE}"))):
        added = SeedsAdded(seeds[first:], done, datetime.now(UTC).date().isoformat())
        record["seeds_added"] = [*old.seeds_added, added]
    return to_jsonable(record)


def add_seconds(folder: Path, since: float) -> float:
    """Adds the time since then (of `time.monotonic`) to that of the study; returns the time now."""
    now, study = time.monotonic(), read_declaration(folder)
    write_json_atomic(folder / STUDY, {**study.record, "seconds": study.seconds + now - since})
    return now


def _variants(
    study: StudyConfig, cohorts: Sequence[Cohort], old: Mapping[str, VariantRecord]
) -> dict[str, Any]:
    """Every variant with its size and speed; a speed that was measured before is kept."""
    length = study.base.data.sequence_length
    repeats = 10 if jax.default_backend() == "cpu" else 50
    speeds: dict[Any, float] = {}
    result = {}
    of = {name: cohort for cohort in cohorts for name in cohort.students}
    operations = _operations(of)
    for variant in study.variants:
        cohort = of[variant.name]
        student = student_of(cohort.models[variant.name])
        before = old[variant.name].sentences_per_second if variant.name in old else None
        if student.config not in speeds:
            speeds[student.config] = (
                before
                or sentences_per_second(
                    {"": student.backbone}, sentences=32, length=length, repeats=repeats
                )[""]
            )
        result[variant.name] = {
            "about": variant.description,
            "settings": variant.settings,
            **sizes(student),
            "sentences_per_second": speeds[student.config],
            "published": variant.published,
            **({} if variant.against is None else {"against": variant.against}),
            **({"levels": variant.levels} if variant.levels else {}),
            **({"gradient_norms": variant.gradient_norms} if variant.gradient_norms else {}),
            **({} if cohort is cohorts[0] else {"steps": cohort.steps}),
            **({"operations": operations[variant.name]} if operations else {}),
        }
    return result


def _operations(of: Mapping[str, Cohort]) -> dict[str, float]:
    """The operations of each student's whole training, if students differ in size and updates."""
    shapes = {student_of(cohort.models[name]).config for name, cohort in of.items()}
    if min(len(shapes), len({cohort.steps for cohort in of.values()})) < 2:
        return {}
    an_update: dict[DistillConfig, float] = {}  # a trace takes a second
    result = {}
    for name, cohort in of.items():
        config = replace(cohort.students[name], steps=1)
        if config not in an_update:
            an_update[config] = update_operations(config)
        result[name] = an_update[config] * cohort.steps
    return result
