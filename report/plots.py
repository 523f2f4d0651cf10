"""Pictures of curves, for print and for colour-blind readers.

Figures are made without pyplot and without rcParams, so that drawing one changes nothing elsewhere.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from data.storage.atomic import replacing
from model.terminal import visible
from report.panel import Panel

# Okabe and Ito 2008, without the yellow that vanishes on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, GREY = "#333333", "#808080"
POINTS_DRAWN, POINTS_MARKED = 2000, 60
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))
"""Of the first curves, of those for which the colours are used again, and of further ones."""


def plot_panels(path: Path, panels: Sequence[Panel], *, xlabel: str, title: str) -> None:
    """Writes a PNG of one pair of axes, or of smaller ones, two a row, with a common `xlabel`.

    Curves of the same name have the same look everywhere; where several axes have several curves,
    one list of names below serves all.
    """
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (7.0, 4.0) if len(panels) == 1 else (8.8, 2.5 * rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr]
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK)
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(panel.ylabel, loc="left", fontsize=9, color=INK)  # no room upright
        _draw(axes, panel, xlabel, named=len(panels) == 1)
    if len(panels) > 1:
        _name_below(figure)
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG, whole or not at all; texts in it are shown as they are."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):  # it writes the names of ticks anew when it draws
            axis.set_major_formatter(partial(_shown_tick, formatter.func))
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # "$" in a name begins no formula
        text.set_text(_shown(text.get_text()))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160, facecolor="white")


def _shown(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _shown_tick(name: Callable[..., str], *at: Any) -> str:
    return _shown(name(*at))


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """The centred mean over `window` values, fewer near the ends; a bend stays where it is."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    places = np.arange(len(values))
    first = np.maximum(places - window // 2, 0)
    last = np.minimum(places + window // 2, len(values) - 1)
    return (sums[last + 1] - sums[first]) / (last + 1 - first)


def _draw(axes: Axes, panel: Panel, xlabel: str, *, named: bool = True) -> None:
    looks = cycle(product(DASHES, COLOURS))
    for (name, curve), (dashes, colour) in zip(panel.curves.items(), looks, strict=False):
        points = np.array([point for point in curve if math.isfinite(point[1])], np.float64)
        if len(points) == 0:
            continue
        steps, values = points.T
        window = len(values) // 40
        smoothed = smooth(values, window) if window >= 3 and panel.smoothing != "off" else values
        thin = slice(None, None, math.ceil(len(values) / POINTS_DRAWN))
        if smoothed is not values and panel.smoothing == "over original":
            axes.plot(steps[thin], values[thin], color=colour, linewidth=0.6, alpha=0.25)
        marker = "o" if len(values) <= POINTS_MARKED else ""
        style = {"color": colour, "linewidth": 1.8, "marker": marker, "markersize": 3}
        style["linestyle"] = dashes
        # A single curve is named by the axis; a leading "_" keeps it out of the legend.
        label = name if len(panel.curves) > 1 else "_"
        axes.plot(steps[thin], smoothed[thin], label=label, **style)
    if panel.floor is not None:
        style = {"color": GREY, "linewidth": 1.2, "linestyle": (0, (5, 3)), "zorder": 1}
        axes.axhline(panel.floor, label="unigram floor", **style)
    style_axes(axes, panel, xlabel)
    if named:
        _name_at_right(axes)


def _name_at_right(axes: Axes) -> None:
    """Names the lines in the margin, where names cover no data, in the order of their ends."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    lines.sort(key=lambda line: np.asarray(line.get_ydata())[-1], reverse=True)
    if lines:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        axes.legend(handles=lines, **place, frameon=False, fontsize=8.5, labelcolor="linecolor")


def _name_below(figure: Figure) -> None:
    """Names the lines of all axes once, below them."""
    lines: dict[str, Any] = {}
    for axes in figure.axes:
        for line, name in zip(*axes.get_legend_handles_labels(), strict=True):
            lines.setdefault(name, line)
    if lines:
        letters = max(map(len, lines)) + 6  # of a name with its sample
        columns = min(max(int(11 * figure.get_figwidth() / letters), 1), len(lines))
        place: dict[str, Any] = {"loc": "outside lower left", "ncols": columns}
        figure.legend([*lines.values()], [*lines], **place, frameon=False, fontsize=8.5)


def style_axes(axes: Axes, panel: Panel, xlabel: str) -> None:
    """Gives axes, on which everything is drawn, the look of all pictures."""
    axes.set_xlabel(xlabel, color=INK, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelcolor=INK, labelsize=8)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01, y=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.6g}"))
    if panel.log and axes.dataLim.y0 > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if panel.share:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    if panel.from_zero and axes.dataLim.y1 > 0:
        axes.set_ylim(0, 1.06 * axes.dataLim.y1)
