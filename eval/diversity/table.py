"""The table of several sources of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from eval.diversity.measure import MEASURES, TextScores
from report.naming import digits_to_show
from report.tables import terminal_table

DECIMALS = {name: 3 if name.startswith("distinct") else 1 for name in MEASURES}


@dataclass(frozen=True)
class MeasuredTexts:
    """Texts of a model at a temperature or, without one, human text."""

    name: str
    temperature: float | None
    scores: TextScores

    def record(self) -> dict[str, Any]:
        """The same for a file; human text has no temperature."""
        about = {"name": self.name, "temperature": self.temperature}
        return {**about, **self.scores._asdict()}


def diversity_table(title: str, sources: Sequence[MeasuredTexts]) -> Table:
    """A line for each source, with half the 95 % interval of what is a mean."""
    shown = {name: text for name, text in MEASURES.items() if name in sources[0].scores.metrics}
    lines = [
        [
            each.name,
            "" if each.temperature is None else f"{each.temperature:g}",
            *(_cell(each.scores, name) for name in shown),
        ]
        for each in sources
    ]
    header = ["", "temperature", *(text.replace("-", "-\n", 1) for text in shown.values())]
    return terminal_table(title, header, lines)


def _cell(scores: TextScores, name: str) -> str:
    value, half = scores.metrics[name], scores.intervals.get(name)
    if half is None:
        return f"{value:,.{DECIMALS[name]}f}"
    digits = digits_to_show(half, DECIMALS[name])
    return f"{value:,.{digits}f} ± {half:,.{digits}f}"
