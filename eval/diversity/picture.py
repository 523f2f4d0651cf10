"""A picture of diversity against quality, for several models and temperatures."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from eval.diversity.measure import MEASURES
from eval.diversity.table import MeasuredTexts
from report.panel import Panel
from report.plots import COLOURS, INK, save_figure, style_axes

MARKS = ("o", "s", "^", "D", "v", "P", "X")
DRAWN = ("self_bleu", "distinct_2")


def draw_diversity(path: Path, title: str, sources: Sequence[MeasuredTexts]) -> None:
    """Writes a PNG: for each model a line over its temperatures, and a cross for human text.

    Right is what the teacher finds less likely.
    """
    figure = Figure(figsize=(8.8, 4.0), layout="constrained")
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK)
    for number, metric in enumerate(DRAWN, start=1):
        axes = figure.add_subplot(1, len(DRAWN), number)
        axes.set_title(MEASURES[metric], loc="left", fontsize=9, color=INK)
        lines = _lines(sources, metric).items()
        looks = zip(cycle(COLOURS), cycle(MARKS), strict=False)
        for (name, points), (colour, mark) in zip(lines, looks, strict=False):
            x, y, temperatures = zip(*points, strict=True)
            style = {"color": colour, "markersize": 5, "linewidth": 1.6}
            if temperatures == (None,):
                style |= {"color": INK, "marker": "x", "markersize": 9, "linestyle": "none"}
            else:
                style |= {"marker": mark}
            axes.plot(x, y, label=name, **style)
            for at_x, at_y, temperature in points:
                if temperature is not None:
                    axes.annotate(
                        f"{temperature:g}",
                        (at_x, at_y),
                        xytext=(4, 4),
                        textcoords="offset points",
                        fontsize=7.5,
                        color=INK,
                    )
        style_axes(axes, Panel({}, ""), f"{MEASURES['pseudo_perplexity']} (log scale)")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.08, y=0.08)
    figure.axes[-1].legend(frameon=False, fontsize=8.5, loc="best")
    save_figure(figure, path)


def _lines(
    sources: Sequence[MeasuredTexts], metric: str
) -> Mapping[str, list[tuple[float, float, float | None]]]:
    """Pseudo-perplexity, the metric and the temperature of each point, by the name of the line."""
    lines: dict[str, list[tuple[float, float, float | None]]] = {}
    for each in sources:
        values = each.scores.metrics
        point = values["pseudo_perplexity"], values[metric], each.temperature
        lines.setdefault(each.name, []).append(point)
    return {name: sorted(points, key=lambda point: point[2] or 0) for name, points in lines.items()}
