"""The share of its teacher's scores on tasks that a student keeps, with its 95 % interval.

    python -m eval.kept --teacher runs/teacher --student runs/student --data.root glue
    python -m eval.kept --teacher runs/original runs/further --student runs/seed-1 runs/seed-2 \
        --tasks cola sst2 mrpc stsb rte --at-least 0.97 --data.root glue

Each folder has the fine-tunings of one model, in a folder named after each task: as
`--output FOLDER/TASK` of train.finetune leaves them, or as train.ablate does, in
seed-N/downstream/VARIANT. Several --student are the same student trained with several seeds. Of
several --teacher the one with the best mean counts. Writes kept.md and kept.json.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from rich.console import Console

from data.storage.atomic import make_folder, write_text, writing
from data.storage.mirror import on_disk
from data.storage.provenance import provenance, write_json_atomic
from eval.kept.resampling import BySeedAndTask, Estimate, KeptShare, kept_shares, mean_score
from eval.kept.runs import Runs, check_seeds, common_tasks, fine_tunings
from eval.run import TaskEvaluation, evaluate_task
from model.ranges import Range, check_settings
from model.terminal import say
from report.markdown import code, escaped, text_table
from report.tables import listed, terminal_table
from tasks.open import TaskData, TaskDataConfig, open_task
from tasks.score import task_metrics
from tasks.task import Task
from train.command.processes import check_alone

KEPT_HEADER = ["", "guessing", "teacher", "student", "kept", "kept above guessing"]


@dataclass(frozen=True, kw_only=True)
class KeptConfig:
    """Compare the fine-tunings of a student with those of its teacher."""

    teacher: tuple[Path, ...]
    """Folders with the fine-tunings of the teacher; of several the best is taken."""
    student: tuple[Path, ...]
    """Folders with the fine-tunings of the student, one for each seed of its training."""
    tasks: tuple[str, ...] = ()
    """Tasks to average; by default those that all folders have."""
    data: TaskDataConfig = TaskDataConfig()
    at_least: Annotated[float, Range(0, 2, above=True)] = 0.97
    """The share that the student was said to keep: it does if the interval is not below this."""
    draws: Annotated[int, Range(100, 100_000)] = 1000
    """Draws of the bootstrap."""
    output: Path = Path("runs/kept")
    """The folder for the tables and for every model's predictions."""


def measure_kept(config: KeptConfig) -> KeptShare:
    """Scores all models on the development sets, prints and writes the shares.

    Returns:
        That of the mean over the tasks.

    Raises:
        InputError: a folder lacks a fine-tuning, or data and models do not fit.
    """
    check_settings(config)
    check_alone("eval.kept")
    config = replace(config, output=on_disk(config.output, "the folder of the shares"))
    folders = (*config.teacher, *config.student)
    tasks = config.tasks or common_tasks(folders)
    runs = {folder: {task: fine_tunings(folder, task) for task in tasks} for folder in folders}
    for teacher in config.teacher:
        check_seeds(runs[teacher], teacher, {f: runs[f] for f in config.student})
    data = {task: open_task(task, config.data, splits=("dev",)) for task in tasks}
    make_folder(config.output)
    models = {folder: read_answers(config, folder, runs[folder], data) for folder in folders}
    examples = {task: len(each.splits["dev"]) for task, each in data.items()}
    guessing = {task: guessed(each) for task, each in data.items()}
    students = [models[folder] for folder in config.student]
    means = {f: mean_score(models[f], students, examples) for f in config.teacher}
    best = max(means, key=means.__getitem__)
    macro, of_task = kept_shares(models[best], students, examples, guessing, draws=config.draws)
    lines = [_line(data[task].task.title, guessing[task], of_task[task]) for task in tasks]
    lines.append(_line("mean", fmean(guessing.values()), macro))
    sentences = [_verdict(macro, config.at_least), _method(config, means, best, students)]
    console = Console(highlight=False, markup=False)
    console.print(terminal_table("Development sets", KEPT_HEADER, lines))
    say(*sentences)
    parts = ["# Kept of the teacher", *map(escaped, sentences[:1]), text_table(KEPT_HEADER, lines)]
    named = listed([code(str(folder)) for folder in config.student])
    parts += [escaped(sentences[1]), f"Teacher: {code(str(best))}; student: {named}."]
    write_text(config.output / "kept.md", "\n\n".join(parts) + "\n")
    record = {
        "settings": config,
        "teacher": best,
        "mean": macro,
        "tasks": of_task,
        "guessing": guessing,
        "examples": examples,
        "means_of_teachers": {str(folder): mean for folder, mean in means.items()},
        "verdict": sentences[0],
        "provenance": provenance(),
    }
    write_json_atomic(config.output / "kept.json", record)
    return macro


def read_answers(
    config: KeptConfig, folder: Path, runs: Runs, data: Mapping[str, TaskData]
) -> BySeedAndTask:
    """The answers of a model's fine-tunings to all development examples, ready to be scored."""
    number = (*config.teacher, *config.student).index(folder)
    found: dict[int, dict[str, Any]] = {}
    for task, by_seed in runs.items():
        for seed, run in by_seed.items():
            name = f"{number}-{task}-{seed}"
            place = make_folder(config.output / "predictions" / name)
            evaluation = TaskEvaluation(
                model=str(run / "model"), task=task, data=config.data, split=("dev",), output=place
            )
            log = place / "evaluation.log"
            with writing(log), log.open("w", encoding="utf-8") as file, redirect_stdout(file):
                metrics = evaluate_task(evaluation)["dev"]
            say(f"{run}: {100 * metrics['score']:.2f} %")
            lines = (place / "predictions-dev.jsonl").read_text(encoding="utf-8").splitlines()
            scorer = partial(score_of, data[task].task, [json.loads(line) for line in lines])
            found.setdefault(seed, {})[task] = scorer
    return found


def score_of(task: Task, predictions: Sequence[Mapping[str, Any]], chosen: Sequence[int]) -> float:
    """The score of the chosen predictions, each with `gold`."""
    gold, predicted = ([predictions[at][side] for at in chosen] for side in ("gold", "prediction"))
    return task_metrics(task, gold, predicted)["score"]


def guessed(data: TaskData) -> float:
    """The development score of the most frequent class, whatever is asked; 0 without classes."""
    gold = [data.task.kind.gold(example) for example in data.splits["dev"]]
    if not data.task.kind.single_class:
        return 0.0
    ((most, _),) = Counter(gold).most_common(1)
    return task_metrics(data.task, gold, [most] * len(gold))["score"]


def _line(title: str, guess: float, found: KeptShare) -> list[str]:
    sides = (_with_interval(each) for each in (found.teacher, found.student, found.share))
    return [title, f"{100 * guess:.1f}", *sides, _with_interval(found.above_guessing)]


def _with_interval(found: Estimate) -> str:
    if not math.isfinite(found.value):  # of a teacher that guesses there is no share
        return "undefined"
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _verdict(macro: KeptShare, at_least: float) -> str:
    share, wanted = macro.share, f"{100 * at_least:g} %"
    text = f"The student keeps {_with_interval(share)} % of its teacher's mean score"
    if share.low >= at_least:
        return f"{text}: at least {wanted}, as was said, because its whole interval is."
    if share.high < at_least:
        return f"{text}: less than {wanted}, because its whole interval is."
    return f"{text}: it is not shown that it keeps {wanted}, because its interval has less."


def _method(
    config: KeptConfig,
    means: Mapping[Path, float],
    best: Path,
    students: Sequence[BySeedAndTask],
) -> str:
    text = (
        f"In per cent, with 95 % intervals of {config.draws:,} draws of the bootstrap over the "
        f"trainings of the student ({len(students)}), the seeds of their fine-tunings "
        f"({len(students[0])}) and the development examples; teacher and student are drawn "
        "together. Few seeds vary less in a bootstrap than they do: of n, by (n - 1) / n of their "
        "variance."
    )
    others = [f"{folder} ({100 * mean:.1f})" for folder, mean in means.items() if folder != best]
    if others:
        text += f" The teacher is {best}, whose mean is higher than that of {listed(others)}."
    return text


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(lambda: measure_kept(parse(KeptConfig, prog="python -m eval.kept", description=__doc__)))
