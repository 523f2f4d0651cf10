"""Ablations: the variants of a study, trained side by side, compared with honest error bars.

    python -m train.ablate paper-table-4
    python -m train.ablate paper-table-4 --downstream sst2 --task-data.root glue
    python -m train.ablate my-study.toml --seeds 5 --steps 1000

Every seed is a block: all variants see the same batches and masks, and listen to the same teacher,
which reads each batch once. The answer is in the study's folder (--output): report.md and its
pictures, table.csv, results.json. A study of your own is a file: see docs/studies.md.
"""

import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.storage.atomic import replacing
from data.storage.mirror import check_on_disk
from model.errors import InputError, above_zero, at_least_one
from report.study.folder import RESULTS
from report.study.report import write_study_report
from tasks.open import open_task
from train.command.cli import choose, main
from train.command.processes import check_alone
from train.studies.catalogue import STUDIES
from train.studies.cohort import Block
from train.studies.config import TUNING, StudyConfig, folder_name, variants_of, with_rates
from train.studies.declaration import add_seconds, declare
from train.studies.downstream import downstream_scores
from train.studies.results import DONE, block_results
from train.studies.toml_file import read_study_file


def ablate(study: StudyConfig) -> Path:
    """Runs a study, or goes on with it; returns the path of its report.

    Raises:
        InputError: the study, its data or its folder cannot be used as they are.
        Stopped: a signal asked for it; the same command goes on.
    """
    check(study)
    if study.tune:
        study = with_rates(study, tuned_rates(study))
    folder = study.base.output
    block = Block(study.base, variants_of(study), study.primary)
    known = [*block.metrics(), *(f"downstream_{task}" for task in study.downstream)]
    if study.primary not in known:
        raise InputError(
            f"the students have no metric {study.primary!r} in common: declare with --primary one "
            f"of {', '.join(known)}"
        )
    declare(study, block)
    seeds = [study.base.seed + number for number in range(study.seeds)]
    left = [seed for seed in seeds if not (folder / f"seed-{seed}" / DONE).is_file()]
    if left:
        print(block.plan(len(seeds), len(left)))
    for seed in left:
        print(f"\nseed {seed}, {seeds.index(seed) + 1} of {len(seeds)}")
        started = time.monotonic()
        run_block(study, block, seed)
        add_seconds(folder, time.monotonic() - started)
    lines = [(folder / f"seed-{seed}" / DONE).read_text(encoding="utf-8") for seed in seeds]
    with replacing(folder / RESULTS) as file:
        file.write_text("".join(lines), encoding="utf-8")
    report = write_study_report(folder)
    print(f"\n{conclusion_of(report)}\n\nThe report is {report}")
    return report


def check(study: StudyConfig) -> None:
    """Raises InputError for settings that do not go together."""
    at_least_one(study, "seeds")
    above_zero(study, "task_epochs", "task_learning_rate")
    study.base.check()
    if study.base.run.parallel != "jit":
        raise InputError("a study is one program: --run.parallel must be jit")
    task = study.primary.removeprefix("downstream_")
    if task != study.primary and task not in study.downstream:
        raise InputError(
            f"the primary metric is {study.primary}, so the students must be fine-tuned on it: "
            f"add --downstream {task}, and say where its data are (--task-data.root)"
        )
    if study.task_data.test is not None:
        raise InputError("--task-data.test: the students are scored on development examples")
    for name in study.downstream:
        open_task(name, study.task_data, splits=("train", "dev"))


def run_block(study: StudyConfig, block: Block, seed: int) -> None:
    """Trains and fine-tunes the students of one seed; the results are written at the end."""
    folder = study.base.output / f"seed-{seed}"
    block.train(seed, folder)
    records = block_results(folder, list(block.students))
    positions = block.teacher.config.max_positions
    for record in records:
        student = folder / "model" / folder_name(record["variant"])
        if all(map(math.isfinite, record["metrics"].values())):
            record["metrics"] |= downstream_scores(study, student, seed, positions)
        else:
            record["metrics"] |= {f"downstream_{task}": math.nan for task in study.downstream}
            print(f"{record['variant']} has diverged: it is not fine-tuned")
    with replacing(folder / DONE) as file:
        lines = [json.dumps(record) + "\n" for record in records]
        file.write_text("".join(lines), encoding="utf-8")


def tuned_rates(study: StudyConfig) -> dict[str, float]:
    """The learning rate that gives each variant its best primary metric, with another seed."""
    base = study.base
    names = {
        (variant.name, rate): f"{variant.name} at {rate:g}"
        for variant in study.variants
        for rate in study.tune
    }
    trial = replace(
        study,
        base=replace(base, output=base.output / TUNING, seed=base.seed - 1),
        seeds=1,
        tune=(),
        variants=tuple(
            replace(
                variant,
                name=names[variant.name, rate],
                flags=f"{variant.flags} --optimizer.learning-rate {rate:g}",
            )
            for variant in study.variants
            for rate in study.tune
        ),
    )
    print(f"tuning the learning rate of every variant, with seed {trial.base.seed}")
    ablate(trial)
    values = _primary_values(trial)

    def quality(name: str) -> float:
        value = values[name] if study.better == "higher" else -values[name]
        return value if math.isfinite(value) else -math.inf

    rates = {
        variant.name: max(study.tune, key=lambda rate: quality(names[variant.name, rate]))
        for variant in study.variants
    }
    print("learning rates: " + ", ".join(f"{name} {rate:g}" for name, rate in rates.items()))
    return rates


def _primary_values(study: StudyConfig) -> Mapping[str, float]:
    lines = (study.base.output / RESULTS).read_text(encoding="utf-8").splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return {record["variant"]: record["metrics"][study.primary] for record in records}


def conclusion_of(report: Path) -> str:
    """The sentence that a report opens with."""
    return report.read_text(encoding="utf-8").split("\n\n")[1]


def chosen(argv: list[str]) -> StudyConfig:
    """The study that the command line names: one that ships, or a file, with flags over it."""
    check_alone("train.ablate")
    recipes = dict(STUDIES)
    if argv and argv[0].endswith(".toml"):
        recipes[argv[0]] = read_study_file(Path(argv[0]))
    study = choose(recipes, "train.ablate", argv, about=__doc__, what="study")
    check_on_disk(study.base.output, "a study's folder")
    tasks = (task for tasks in study.downstream for task in tasks.split(","))
    return replace(study, downstream=tuple(filter(None, tasks)))


if __name__ == "__main__":
    main(lambda: ablate(chosen(sys.argv[1:])))
