"""The results of a fine-tuning over its seeds: every value, median, mean and spread."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from rich.console import Console

from data.storage.atomic import write_text
from data.storage.provenance import write_json_atomic
from model.terminal import say
from report.markdown import code, escaped, text_table
from report.naming import NAMES, in_tables, written
from report.tables import terminal_table
from tasks.task import Task


def report_seeds(
    folder: Path,
    task: Task,
    results: Mapping[int, Mapping[str, float]],
    *,
    model: str,
    teacher: str | None,
    reported: Literal["final", "best"],
) -> None:
    """Prints the table, and writes `results.md` and `results.json` into the run's folder.

    `results` are the metrics on the development set, by seed, of the `reported` step.
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

    Console(highlight=False, markup=False).print(terminal_table(title, header, rows))
    say(*remarks)

    table = text_table(header, rows)
    text = "\n\n".join([f"# {escaped(title)}", code(model), table, *remarks]) + "\n"
    record = {"task": task.name, "model": model, "teacher": teacher, "report": reported}
    write_text(folder / "results.md", text)
    write_json_atomic(folder / "results.json", {**record, "seeds": results})
