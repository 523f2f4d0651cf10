"""The results of a fine-tuning over its seeds: every value, median, mean and spread."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from data.storage.atomic import write_text
from data.storage.provenance import write_json_atomic
from model.terminal import say
from report.markdown import code, escaped, text_table
from report.naming import NAMES, in_full, in_tables, with_interval, written
from report.predictions.classes import class_table
from report.tables import listed, terminal_table
from tasks.score import SplitScores, split_record
from tasks.task import Task

SETS = {"dev": "development set", "test": "test set"}
INTERVALS = (
    "± is half the 95 % interval of this model's score on such examples, which are taken as "
    "independent of each other."
)


def report_seeds(
    folder: Path,
    task: Task,
    results: Mapping[int, Mapping[str, float]],
    splits: Mapping[int, Mapping[str, SplitScores]],
    *,
    model: str,
    teacher: str | None,
    reported: Literal["final", "best"],
    tuned: Mapping[float, float | None],
) -> None:
    """Prints the tables, and writes `results.md` and `results.json` into the run's folder.

    `results` are the metrics on the development set, by seed, of the `reported` step, and `splits`
    all scores of the model of that step. `tuned` are the scores of the learning rates of which the
    best was taken, if several were tried.
    """
    seeds, values = list(results), {f"seed {seed}": dict(each) for seed, each in results.items()}
    names = in_tables(name for name in ("score", *task.metrics) if name in results[seeds[0]])
    step = {"final": "the final step", "best": "the best step, chosen by this very score"}
    title = f"{task.title}, development set, {step[reported]}"
    header = ["", *(NAMES.get(name, name) for name in names)]
    if len(seeds) > 1:
        columns = {name: [each[name] for each in results.values()] for name in names}
        for about, function in (
            ("median", statistics.median),
            ("mean", statistics.fmean),
            ("standard deviation", statistics.stdev),
        ):
            values[about] = {name: function(column) for name, column in columns.items()}
    rows = [
        [row, *(written(name, numbers[name]) for name in names)] for row, numbers in values.items()
    ]
    remarks = [
        f"Seed {seed} collapsed: on the development set {task.kind.collapse}."
        for seed, each in results.items()
        if each.get("collapsed")
    ]
    if tuned:
        tried = [f"{rate:g} ({written('score', s) or 'diverged'})" for rate, s in tuned.items()]
        best = f"{best_rate(tuned):g}, the best of {listed(tried)}"
        remarks.append(f"The learning rate is {best}, which were tried with another seed.")
    console = Console(highlight=False, markup=False)
    console.print(terminal_table(title, header, rows))
    say(*remarks)
    parts = [f"# {escaped(title)}", code(model), text_table(header, rows), *remarks]

    tested = {seed: each["test"] for seed, each in splits.items() if "test" in each}
    if tested:
        count = next(iter(tested.values())).examples
        about = f"{task.title}, test set, {count:,} examples"
        head, lines = test_table(task, tested)
        console.print(terminal_table(about, head, lines))
        say(INTERVALS)
        parts += [f"## {escaped(about)}", text_table(head, lines), INTERVALS]
    for name, where in SETS.items():
        each = [scores[name].classes for scores in splits.values() if name in scores]
        if any(each):
            means = f", means of {len(each)} seeds" if len(each) > 1 else ""
            parts += [f"## Classes on the {where}{means}", text_table(*class_table(each))]
    write_text(folder / "results.md", "\n\n".join(parts) + "\n")
    record: dict[str, Any] = {
        "task": task.name,
        "model": model,
        "teacher": teacher,
        "report": reported,
    }
    records = {
        seed: {name: split_record(scores) for name, scores in each.items()}
        for seed, each in splits.items()
    }
    record |= {"tuned": tuned, "seeds": results, "splits": records}
    write_json_atomic(folder / "results.json", record)


def best_rate(scores: Mapping[float, float | None]) -> float | None:
    """The learning rate with the best score; None if none has one."""
    known = {rate: score for rate, score in scores.items() if score is not None}
    return max(known, key=known.__getitem__, default=None)


def test_table(task: Task, tested: Mapping[int, SplitScores]) -> tuple[list[str], list[list[str]]]:
    """A line for each metric, a column for each seed, with intervals."""
    lines = [
        [
            NAMES.get(name, name),
            *(
                with_interval(name, each.metrics.get(name), each.intervals.get(name))
                for each in tested.values()
            ),
        ]
        for name in in_full(task.metrics, next(iter(tested.values())).metrics)
    ]
    return ["", *(f"seed {seed}" for seed in tested)], lines
