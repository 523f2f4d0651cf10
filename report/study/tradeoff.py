"""Size against speed against agreement with the teacher, in one scatter plot."""

import math
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, BboxBase

from report.naming import is_share, label
from report.plots import COLOURS, GREY, INK, Panel, save_figure, style_axes
from report.study.comparison import Comparison
from report.study.folder import Study

SMALLEST, LARGEST = 30.0, 240.0
"""Areas of the discs, in square points."""


def draw_tradeoff(path: Path, study: Study, agreement: Comparison) -> None:
    """A disc a variant: speed to the right, agreement up, its area the number of parameters.

    Args:
        path: where to write the PNG.
        study: has the speed of every variant.
        agreement: with the teacher, of the variants.
    """
    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    largest = max(variant.parameters for variant in study.variants.values())
    places, names = [], []
    for name, variant in study.variants.items():
        row = agreement.rows.get(name)
        if row is None or row.mean is None or variant.sentences_per_second is None:
            continue
        places.append((variant.sentences_per_second, row.mean))
        names.append(textwrap.fill(f"{name}, {variant.parameters / 1e6:.3g} M", 26))
        area = max(LARGEST * variant.parameters / largest, SMALLEST)
        axes.scatter(*places[-1], s=area, color=COLOURS[0], alpha=0.55, edgecolor=INK, linewidth=1)
    style_axes(axes, Panel({}, "", share=is_share(agreement.metric)), "sentences/s")
    axes.margins(0.2)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_ylabel(label(agreement.metric), color=INK, fontsize=9)
    figure.suptitle(
        "Size, speed and agreement", x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK
    )
    figure.supxlabel("Area: parameters (M: millions).", x=0.01, ha="left", fontsize=8, color=INK)
    figure.draw_without_rendering()  # places the axes, so that overlaps can be told
    _name_beside(axes, places, names)
    save_figure(figure, path)


def _name_beside(axes: Axes, places: list[tuple[float, float]], names: list[str]) -> None:
    """Write each name where it covers neither a disc nor another name, as near as there is room."""
    point = axes.figure.dpi / 72  # in pixels
    reach = math.sqrt(LARGEST / math.pi) * point
    middles = axes.transData.transform(places)
    taken = [Bbox.from_extents(x - reach, y - reach, x + reach, y + reach) for x, y in middles]
    for place, middle, name in zip(places, middles, names, strict=True):
        text = axes.text(*place, name, fontsize=8)
        size = np.array(text.get_window_extent().size)
        text.remove()
        offsets = _offsets(reach, size)
        boxes = [Bbox.from_extents(*(m - size / 2), *(m + size / 2)) for m in middle + offsets]
        choice = next((i for i, box in enumerate(boxes) if _is_free(box, axes.bbox, taken)), 0)
        taken.append(boxes[choice])
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "shrinkB": 4}
        axes.annotate(
            name,
            place,
            xytext=tuple(offsets[choice] / point),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            ha="center",
            va="center",
            arrowprops=line if choice >= len(DIRECTIONS) else None,
        ).set_in_layout(False)  # else the axes would move from under the names


SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
DIRECTIONS = (*SIDES, (1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5))


def _offsets(reach: float, size: np.ndarray) -> np.ndarray:
    """From the middle of a disc to that of a name: around it, then ever farther away."""
    rings = [np.array(DIRECTIONS) * (ring * reach + size / 2 + 1) for ring in range(1, 12)]
    return np.concatenate(rings)


def _is_free(box: Bbox, frame: BboxBase, taken: list[Bbox]) -> bool:
    inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
    return bool(inside) and not any(box.overlaps(other) for other in taken)
