"""Table 1 of Sanh et al. 2019: a teacher and its student, fine-tuned and scored on GLUE.

    python -m eval.glue --teacher google-bert/bert-base-uncased --student my-distilbert --seeds 5
    python -m eval.glue --teacher A --student B --data.root glue --tasks rte mrpc

Both are fine-tuned with the recipes of train.finetune. A task's score is the median over the seeds,
as published: Matthews for CoLA, the mean of accuracy and F1 for MRPC and QQP, the mean of both
correlations for STS-B, accuracy for the others, of the development set after the last step.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data.storage.atomic import write_text
from data.storage.mirror import on_disk
from data.storage.provenance import provenance, write_json_atomic
from model.errors import InputError, did_you_mean
from model.ranges import Epochs, Seeds, check_settings
from model.terminal import say
from report.markdown import code, escaped, text_table
from report.tables import terminal_table
from tasks.glue import AVERAGED, glue_average
from tasks.open import TaskDataConfig, open_task
from train.command.processes import check_alone
from train.finetune import finetune
from train.recipes import FINETUNE

Scores = dict[str, float]

# Sanh et al. 2019 (v4), Table 1: medians of 5 seeds. The paper prints 86.7 for BERT on MNLI, but
# only the 84.7 of the original's README gives its average of 79.5.
PUBLISHED: dict[str, Scores] = {
    "teacher": {
        "cola": 56.3, "mnli": 84.7, "mrpc": 88.6, "qnli": 91.8, "qqp": 89.6,
        "rte": 69.3, "sst2": 92.7, "stsb": 89.0, "wnli": 53.5,
    },
    "student": {
        "cola": 51.3, "mnli": 82.2, "mrpc": 87.5, "qnli": 89.2, "qqp": 88.5,
        "rte": 59.9, "sst2": 91.3, "stsb": 86.9, "wnli": 56.3,
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Glue:
    """Fine-tune a teacher and its student on GLUE, and compare."""

    teacher: str
    """A folder or hub name."""
    student: str
    """A folder or hub name."""
    tasks: tuple[str, ...] = AVERAGED
    """Of GLUE; by default all nine."""
    seeds: Seeds = 1
    """Fine-tunings of each model on each task; the paper made 5."""
    epochs: Epochs | None = None
    """Passes over the training examples; by default those of each task's recipe."""
    data: TaskDataConfig = field(default_factory=TaskDataConfig)
    output: Path = Path("runs/glue")
    """A run folder for each model and task, and the table. The same command resumes in it."""


def run_glue(config: Glue) -> dict[str, Scores]:
    """Fine-tunes and scores both on what data there are; prints and writes the table.

    Returns:
        The scores of `teacher` and `student`, in per cent.

    Raises:
        InputError: a setting makes no sense, a task is not of GLUE, or there are no data for any.
    """
    check_settings(config)
    check_alone("eval.glue")
    config = replace(config, output=on_disk(config.output, "the folder of all runs"))
    for task in config.tasks:
        if task not in AVERAGED:
            raise InputError(f"--tasks {task} is not of GLUE: {did_you_mean(task, AVERAGED)}")
    missing: dict[str, str] = {}
    for task in config.tasks:
        try:
            open_task(task, config.data, splits=("train", "dev"))
        except InputError as error:
            missing[task] = str(error)
            say(f"{task} is left out: {error}")
    if len(missing) == len(config.tasks):
        raise InputError("there are no data for any of the tasks: see the lines above")

    models = {"teacher": config.teacher, "student": config.student}
    scores: dict[str, Scores] = {role: {} for role in models}
    for task in config.tasks:
        if task in missing:
            continue
        for role, model in models.items():
            say("", f"{task}, {role}")
            recipe = FINETUNE[task]()
            results = finetune(
                replace(
                    recipe,
                    model=model,
                    data=config.data,
                    output=config.output / role / task,
                    seeds=config.seeds,
                    epochs=config.epochs or recipe.epochs,
                )
            )
            scores[role][task] = 100 * statistics.median(result["score"] for result in results)
    Console(highlight=False, markup=False).print(glue_table(scores))
    write_table(config, scores, missing)
    return scores


def rows(scores: Mapping[str, Scores]) -> list[list[str]]:
    """Published and here, and what the student keeps of its teacher."""
    names = {"teacher": "BERT-base", "student": "DistilBERT"}
    both = {"published": PUBLISHED, "here": scores}
    numbers = {
        (role, where): [
            *map(of[role].get, AVERAGED),
            glue_average(of[role]),
            glue_average(of[role], wnli=False),
        ]
        for where, of in both.items()
        for role in ("teacher", "student")
    }
    lines = [
        [
            f"{role if where == 'here' else names[role]}, {where}",
            *("" if n is None else f"{n:.1f}" for n in cells),
        ]
        for (role, where), cells in numbers.items()
    ]
    for where in both:
        pairs = zip(numbers["teacher", where], numbers["student", where], strict=True)
        kept = ("" if a is None or b is None else f"{100 * b / a:.1f} %" for a, b in pairs)
        lines.append([f"kept, {where}", *kept])
    return lines


HEADER = ["", *AVERAGED, "mean of 9", "without WNLI"]


def glue_table(scores: Mapping[str, Scores]) -> Table:
    """`rows` transposed, a task a line: narrow enough for any terminal."""
    first, *lines = zip(HEADER, *rows(scores), strict=True)
    header = [name.replace(", ", ",\n") for name in first]
    return terminal_table("GLUE, development sets", header, lines, compact=True)


def write_table(config: Glue, scores: dict[str, Scores], missing: dict[str, str]) -> None:
    """glue.md for people, glue.json for programs."""
    table = text_table(HEADER, rows(scores))
    seeds = "one seed" if config.seeds == 1 else f"medians of {config.seeds} seeds"
    left_out = "".join(f"\nNot run: {task}: {escaped(why)}\n" for task, why in missing.items())
    text = (
        f"# GLUE\n\n{table}\n\nTeacher: {code(config.teacher)}; student: {code(config.student)}; "
        f"{seeds}, development sets, the final step.\n{left_out}"
    )
    write_text(config.output / "glue.md", text)
    record = {
        "settings": config,
        "scores": scores,
        "published": PUBLISHED,
        "not_run": missing,
        "provenance": provenance(),
    }
    write_json_atomic(config.output / "glue.json", record)


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(lambda: run_glue(parse(Glue, prog="python -m eval.glue", description=__doc__)))
