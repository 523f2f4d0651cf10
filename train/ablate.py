"""Ablations: the variants of a study, trained side by side, compared with honest error bars.

    python -m train.ablate paper-table-4
    python -m train.ablate paper-table-4 --downstream sst2 --task-data.root glue
    python -m train.ablate my-study.toml --seeds 5 --steps 1000
    python -m train.ablate temperature --halving

Every seed is a block: all variants see the same batches and masks, and listen to the same teacher,
which reads each batch once. The answer is in the study's folder (--output): report.md and its
pictures, table.csv, results.json. A study of your own is a file: see docs/studies.md.
"""

import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from data.storage.atomic import write_text
from data.storage.holding import holding
from data.storage.mirror import on_disk
from model.errors import InputError
from model.hf.config import read_settings
from model.ranges import check_settings
from model.terminal import say
from model.typed import as_type
from report.naming import DOWNSTREAM, DOWNSTREAM_MEAN
from report.study.folder import RESULTS, read_declaration, read_study
from report.study.report import write_study_report
from tasks.open import open_task
from train.command.cli import choose, main
from train.command.processes import check_alone
from train.config import MOST_SEED
from train.studies.catalogue import STUDIES
from train.studies.cohort import Cohort, open_cohorts
from train.studies.config import TUNING, StudyConfig, Variant, folder_name, variants_of
from train.studies.controls import with_controls
from train.studies.declaration import add_seconds, declare
from train.studies.downstream import downstream_metrics, downstream_scores
from train.studies.halving import Announce, check_halving, halved
from train.studies.normalised import with_normalised_weights
from train.studies.results import DONE, block_results, is_done
from train.studies.toml_file import read_study_file


def ablate(study: StudyConfig, announce: Announce | None = None) -> Path:
    """Runs or resumes a study; returns the path of its report.

    `announce` is called when everything is compiled, before the first update.

    Raises:
        InputError: the study, its data or its folder cannot be used as they are.
        Stopped: a signal asked for it; the same command resumes the study.
    """
    check_study(study)
    with holding(study.base.output):
        return run_study(study, announce)


def run_study(study: StudyConfig, announce: Announce | None = None) -> Path:
    """Runs or resumes a study whose folder is held; returns and raises what `ablate` does."""
    started = time.monotonic()
    if study.halving:
        study = halved(study, ablate)
    study = with_controls(with_normalised_weights(study))
    if study.tune:
        study = tuned(study)
    folder = study.base.output
    cohorts = open_cohorts(study.base, variants_of(study), study.primary)
    own = [cohort.metrics() for cohort in cohorts]
    known = [name for name in own[0] if all(name in others for others in own)]
    known += downstream_metrics(study)
    if study.primary not in known:
        raise InputError(
            f"the students have no metric {study.primary!r} in common: declare with --primary one "
            f"of {', '.join(known)}"
        )
    declare(study, cohorts)
    seeds = [study.base.seed + number for number in range(study.seeds)]
    declared = read_declaration(folder)
    if announce is not None:
        announce(cohorts)
    left = [seed for seed in seeds if not is_done(folder / f"seed-{seed}", seed, declared)]
    if left:
        say(*(cohort.plan(len(seeds), len(left)) for cohort in cohorts))
    for seed in left:
        say("", f"seed {seed}, {seeds.index(seed) + 1} of {len(seeds)}")
        try:
            run_block(study, cohorts, seed)
        finally:  # also the time of a block that is stopped; the first has that of all before it
            started = add_seconds(folder, started)
    lines = [(folder / f"seed-{seed}" / DONE).read_text(encoding="utf-8") for seed in seeds]
    write_text(folder / RESULTS, "".join(lines))
    report = write_study_report(folder)
    say("", conclusion_of(report), "", f"The report is {report}")
    return report


def check_study(study: StudyConfig) -> None:
    """Raises InputError for settings out of their range, or that do not go together."""
    check_settings(study)
    if study.halving:
        check_halving(study)
    for flag, rates in (("--tune", study.tune), ("--task-tune", study.task_tune)):
        if rates and study.base.seed == 0:
            raise InputError(
                f"--seed is 0, and {flag} tries rates with the seed before: give 1 or more"
            )
    if study.tune_steps and not study.tune:
        raise InputError(
            f"--tune-steps {study.tune_steps} is for the trials of learning rates: name these with "
            "--tune, or leave it out"
        )
    last = (study.base.seed + study.seeds) * study.task_seeds - 1
    if study.downstream and last > MOST_SEED:
        raise InputError(
            f"--seed {study.base.seed} is too large: the seeds of --task-seeds {study.task_seeds} "
            f"would go up to {last:,}, and {MOST_SEED:,} is the largest"
        )
    if study.task_seeds > 1 and not study.downstream:
        raise InputError(
            f"--task-seeds {study.task_seeds}: no student is fine-tuned; name a task with "
            "--downstream"
        )
    if study.base.run.parallel != "jit":
        raise InputError("a study is one program: --run.parallel must be jit")
    if study.primary == DOWNSTREAM_MEAN and len(study.downstream) < 2:
        raise InputError(
            f"the primary metric is {study.primary}, the mean over several tasks: name them with "
            "--downstream, and say where their data are (--task-data.root)"
        )
    task = study.primary.removeprefix(DOWNSTREAM)
    if task not in (study.primary, "mean") and task not in study.downstream:
        raise InputError(
            f"the primary metric is {study.primary}, so the students must be fine-tuned on it: "
            f"add --downstream {task}, and say where its data are (--task-data.root)"
        )
    if study.task_data.test is not None:
        raise InputError("--task-data.test: the students are scored on development examples")
    for name in study.downstream:
        open_task(name, study.task_data, splits=("train", "dev"))


def run_block(study: StudyConfig, cohorts: Sequence[Cohort], seed: int) -> None:
    """Trains and fine-tunes the students of one seed; the results are written at the end.

    Cohorts with another number of updates than the first have folders of their own.
    """
    block = study.base.output / f"seed-{seed}"
    records, folders = [], {}
    for cohort in cohorts:
        folder = block
        if cohort is not cohorts[0]:
            folder = block.with_name(f"{block.name}-updates-{cohort.steps}")
        cohort.train(seed, folder)
        folders |= dict.fromkeys(cohort.students, folder)
        records += block_results(folder, list(cohort.students))
    for record in records:
        student = folders[record["variant"]] / "model" / folder_name(record["variant"])
        if all(map(math.isfinite, record["metrics"].values())):
            scores = downstream_scores(study, student, seed)
            record["metrics"] |= {name: fmean(each) for name, each in scores.items()}
            if study.task_seeds > 1:
                record["fine_tunings"] = scores
        else:
            record["metrics"] |= dict.fromkeys(downstream_metrics(study), math.nan)
            say(f"{record['variant']} has diverged: it is not fine-tuned")
    write_text(block / DONE, "".join(json.dumps(record) + "\n" for record in records))


def tuned(study: StudyConfig) -> StudyConfig:
    """The study with that learning rate for each variant that gives it its best primary metric.

    The rates are tried with a seed that the study does not use. A trial is fine-tuned once, with
    the first rate of `task_tune`.
    """
    base = replace(study.base, output=study.base.output / TUNING, seed=study.base.seed - 1)
    configs = variants_of(study)
    still = {name for name, config in configs.items() if not config.optimizer.learning_rate}
    tuning = [variant for variant in study.variants if variant.name not in still]
    trials = [
        replace(variant.at_rate(rate), name=_trial(variant, rate), against=None)
        for variant in tuning
        for rate in study.tune
    ]
    say(f"tuning the learning rate of every variant, with seed {base.seed}")
    short = replace(base, steps=study.tune_steps or base.steps)
    one_each = {
        "task_learning_rate": next(iter(study.task_tune), study.task_learning_rate),
        "task_tune": (),
        "task_seeds": 1,
    }
    untuned = replace(study, tune=(), tune_steps=None)
    ablate(replace(untuned, base=short, seeds=1, variants=tuple(trials), **one_each))
    values = read_study(base.output).values(study.primary)
    best = max if study.better == "higher" else min
    rates: dict[str, float] = {}
    for variant in tuning:
        measured = {rate: values[_trial(variant, rate)][base.seed] for rate in study.tune}
        finite = [rate for rate in study.tune if math.isfinite(measured[rate])]
        rates[variant.name] = best(finite or study.tune, key=measured.__getitem__)
    say("learning rates: " + ", ".join(f"{name} {rate:g}" for name, rate in rates.items()))
    variants = [v.at_rate(rates[v.name]) if v.name in rates else v for v in study.variants]
    return replace(untuned, variants=tuple(variants))


def _trial(variant: Variant, rate: float) -> str:
    return f"{variant.name} at {rate:g}"


def conclusion_of(report: Path) -> str:
    """The conclusion of a study, from the results beside its report."""
    path = report.with_name("results.json")
    return as_type(str, read_settings(path).get("conclusion"), str(path), "conclusion")


def chosen_study(argv: list[str]) -> StudyConfig:
    """The study that the command line names, shipped or in a file, with its flags applied."""
    check_alone("train.ablate")
    recipes = dict(STUDIES)
    if argv and argv[0].endswith(".toml"):
        recipes[argv[0]] = read_study_file(Path(argv[0]))
    study = choose(recipes, "train.ablate", argv, about=__doc__, what="study")
    folder = on_disk(study.base.output, "a study's folder")
    return replace(study, base=replace(study.base, output=folder))


if __name__ == "__main__":
    main(lambda: ablate(chosen_study(sys.argv[1:])))
