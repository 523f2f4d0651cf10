"""The tables of a comparison, as cells: a column a side."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from eval.compare.sides import Side
from report.naming import MINUS, by_name, difference, label, with_interval


class Cells(NamedTuple):
    """A table of text, whose first column names the rows."""

    title: str
    header: list[str]
    lines: list[list[str]]


def metrics_of(sides: Sequence[Side]) -> list[str]:
    """The metrics that some side has, in the order of reports."""
    return by_name(dict.fromkeys(name for side in sides for name in side.metrics))


def compared_metrics(sides: Sequence[Side]) -> Cells:
    """A row for each fact and metric; of two runs also their difference."""
    header, lines = ["", *(side.name for side in sides)], []
    apart = len(sides) == 2 and not any(side.intervals for side in sides)
    for name in dict.fromkeys(name for side in sides for name in side.facts):
        lines.append([name, *(side.facts.get(name, "") for side in sides)])
    for name in metrics_of(sides):
        values = [side.metrics.get(name) for side in sides]
        cells = [
            with_interval(name, value, side.intervals.get(name))
            for value, side in zip(values, sides, strict=True)
        ]
        lines.append([label(name), *cells])
        if apart and None not in values:
            lines[-1].append(difference(name, values[1] - values[0]))  # type: ignore[operator]
    if apart:
        header.append(f"second {MINUS} first")
        lines = [[*line, *[""] * (len(header) - len(line))] for line in lines]
    return Cells("Metrics", header, lines)


def differing_settings(sides: Sequence[Side]) -> Cells:
    """A row for each setting that differs; one that a side does not have is a dash."""
    names = dict.fromkeys(name for side in sides for name in side.settings)
    lines = []
    for name in names:
        texts = [_text(side.settings[name]) if name in side.settings else "–" for side in sides]
        if len({*texts}) > 1:
            lines.append([name, *texts])
    lines.sort(key=lambda line: line[0].startswith("provenance."))
    return Cells("Settings that differ", ["", *(side.name for side in sides)], lines)


def as_csv(sides: Sequence[Side]) -> str:
    """A row a side, of plain numbers: its metrics, then the settings that differ."""
    metrics, settings = metrics_of(sides), [line[0] for line in differing_settings(sides).lines]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    halves = [name for name in metrics if any(name in side.intervals for side in sides)]
    header = ["name", *metrics, *(f"{name}_interval" for name in halves), *settings]
    writer.writerow(header)
    for side in sides:
        row: list[Any] = [side.name, *(side.metrics.get(name) for name in metrics)]
        row += [side.intervals.get(name) for name in halves]
        row += [_text(side.settings[name]) if name in side.settings else "" for name in settings]
        writer.writerow(row)
    return file.getvalue()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
