"""Pictures of curves that print well and that colour-blind readers can tell apart.

Figures are made without pyplot and without rcParams, so that drawing one changes nothing elsewhere.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from data.storage.atomic import replacing

Curve = Sequence[tuple[int, float]]
"""Points (update, value), in order; values that are not finite are left out."""

Kind = Literal["noisy", "exact", "events"]

# Okabe and Ito 2008, without the yellow that vanishes on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, GREY = "#333333", "#808080"
POINTS_DRAWN, POINTS_MARKED = 2000, 60


@dataclass(frozen=True)
class Panel:
    """One pair of axes: curves by name, and what is known about their values."""

    curves: Mapping[str, Curve]
    ylabel: str
    """What is drawn, with its unit."""
    floor: float | None = None
    """A value to compare with, drawn as a dashed line."""
    floor_name: str = "unigram floor"
    kind: Kind = "noisy"
    """Long curves are smoothed before the pale original, left alone, or, where they say at each
    update whether something happened (1) or not (0), shown as its share nearby."""
    share: bool = False
    """Values between 0 and 1, shown as per cent."""
    log: bool = False
    from_zero: bool = False


def plot_curves(
    path: Path,
    curves: Mapping[str, Curve],
    *,
    xlabel: str,
    ylabel: str,
    title: str,
    floor: float | None = None,
    share: bool = False,
) -> None:
    """Write a PNG of several runs in one pair of axes, each named at its right end.

    Args:
        path: where to write the picture.
        curves: the points of each run, by the name to show.
        xlabel: what runs along, with its unit.
        ylabel: what is drawn, with its unit.
        title: said above the axes.
        floor: a value to compare with, drawn as a dashed line.
        share: whether the values are shares, to be shown as per cent.
    """
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=12)
    axes.set_ylabel(ylabel, color=INK, fontsize=9)
    _draw(axes, Panel(curves, ylabel, floor=floor, share=share), xlabel)
    save_figure(figure, path)


def plot_panels(path: Path, panels: Sequence[Panel], *, xlabel: str, title: str) -> None:
    """Write a PNG of small axes, two a row, that share what runs along."""
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.4 * columns, 2.5 * rows + 0.5), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr]
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK)
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(panel.ylabel, loc="left", fontsize=9, color=INK)  # no room upright
        _draw(axes, panel, xlabel)
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160, facecolor="white")


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """The mean over `window` values around each; near the ends over those that there are.

    Centred, so that a bend stays where it is.
    """
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    places = np.arange(len(values))
    first = np.maximum(places - window // 2, 0)
    last = np.minimum(places + window // 2, len(values) - 1)
    return (sums[last + 1] - sums[first]) / (last + 1 - first)


def _draw(axes: Axes, panel: Panel, xlabel: str) -> None:
    names = []
    for (name, curve), colour in zip(panel.curves.items(), cycle(COLOURS)):
        points = np.array([point for point in curve if math.isfinite(point[1])], np.float64)
        if len(points) == 0:
            continue
        steps, values = points.T
        window = len(values) // 40
        smoothed = smooth(values, window) if window >= 3 and panel.kind != "exact" else values
        thin = slice(None, None, math.ceil(len(values) / POINTS_DRAWN))
        if smoothed is not values and panel.kind == "noisy":
            axes.plot(steps[thin], values[thin], color=colour, linewidth=0.6, alpha=0.25)
        marker = "o" if len(values) <= POINTS_MARKED else ""
        axes.plot(
            steps[thin], smoothed[thin], color=colour, linewidth=1.8, marker=marker, markersize=3
        )
        names.append((smoothed[-1], name, colour))
    if len(names) == 1:  # the axis says it already
        names = []
    if panel.floor is not None:
        axes.axhline(panel.floor, color=GREY, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1)
        names.append((panel.floor, panel.floor_name, GREY))
    style_axes(axes, panel, xlabel)
    _name_at_right(axes, names)


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


def _name_at_right(axes: Axes, names: list[tuple[float, str, str]], size: float = 8.5) -> None:
    """Write each (value, name, colour) beside the axes at its value, or as near as there is room.

    In the margin a name covers no data, which a legend inside the axes sooner or later does.
    """
    if not names:
        return
    axes.set_ylim(axes.get_ylim())  # the heights below hold for these limits
    height = axes.get_window_extent().height * 72 / axes.figure.dpi  # in points
    gap = 1.3 * size / height
    to_fraction = axes.transData + axes.transAxes.inverted()
    wanted = sorted((to_fraction.transform((0.0, value))[1], n, c) for value, n, c in names)
    places = [fraction for fraction, _, _ in wanted]
    for _ in range(100):  # names that overlap push each other apart
        for i in range(1, len(places)):
            push = max(gap - (places[i] - places[i - 1]), 0.0) / 2
            places[i - 1] -= push
            places[i] += push
    for place, (_, name, colour) in zip(places, wanted, strict=True):
        axes.annotate(
            name,
            (1.0, place),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=size,
            color=colour,
        )
