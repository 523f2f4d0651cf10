"""What several seeds of a fine-tuning came to: every value, median, mean and spread."""

import json
import statistics
from collections.abc import Sequence

from rich.console import Console

from data.atomic import replacing
from data.tasks import Task
from eval.naming import NAMES, in_tables, written
from eval.tables import markdown_table, terminal_table
from train.config import FinetuneConfig

SPREAD = {
    "median": statistics.median,
    "mean": statistics.fmean,
    "standard deviation": statistics.stdev,
}


def report_seeds(config: FinetuneConfig, task: Task, results: Sequence[dict[str, float]]) -> None:
    """Prints the table, and writes `results.md` and `results.json` into the run's folder."""
    seeds = [config.seed + number for number in range(len(results))]
    names = in_tables(name for name in ("score", *task.metrics) if name in results[0])
    step = {"final": "the final step", "best": "the best step, chosen by this very score"}
    title = f"{task.title}, development set, {step[config.report]}"
    header = ["", *(NAMES.get(name, name) for name in names)]
    values = {f"seed {seed}": result for seed, result in zip(seeds, results, strict=True)}
    if len(seeds) > 1:
        values |= {
            about: {name: function([result[name] for result in results]) for name in names}
            for about, function in SPREAD.items()
        }
    rows = [
        [row, *(written(name, numbers[name]) for name in names)] for row, numbers in values.items()
    ]
    collapsed = [seed for seed, r in zip(seeds, results, strict=True) if r.get("collapsed")]
    remarks = [
        f"Seed {seed} collapsed: it gives every example of the development set the same class."
        for seed in collapsed
    ]

    console = Console(highlight=False)
    console.print(terminal_table(title, header, rows))
    for remark in remarks:
        console.print(remark)

    markdown = markdown_table(header, rows)
    text = "\n\n".join([f"# {title}", f"`{config.model}`", markdown, *remarks]) + "\n"
    record = {
        "task": task.name,
        "model": config.model,
        "teacher": config.teacher,
        "report": config.report,
        "seeds": dict(zip(map(str, seeds), results, strict=True)),
    }
    with replacing(config.output / "results.md") as file:
        file.write_text(text, encoding="utf-8")
    with replacing(config.output / "results.json") as file:
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
