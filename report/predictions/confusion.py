"""Confusion matrix of a classifier, as a picture that prints well."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from report.plots import GREY, INK

FEW = 10  # up to so many classes each cell has room for its share


def draw_confusion(
    counts: Int[np.ndarray, "gold predicted"], labels: Sequence[str], *, title: str
) -> Figure:
    """Counts as numbers, their shares of the gold class (of a row) as shades of grey.

    Where there are few classes the shares are numbers too. Empty cells stay white.
    """
    few = len(labels) <= FEW
    size = len(labels) * (0.85 if few else 0.36)
    longest = 0.075 * max(map(len, labels))
    figure = Figure(figsize=(size + longest + 1.2, size + longest + 1.3), layout="constrained")
    axes = figure.add_subplot()
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=1.25)  # black text is read on it up to 60 %
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        text = f"{count:,}\n{share:.0%}".replace("%", " %") if few else f"{count:,}"
        axes.text(
            column,
            row,
            text if count else "0" if few else "",
            ha="center",
            va="center",
            fontsize=9 if few else 6.5,
            color="white" if share > 0.6 else INK,
        )
    upright = "vertical" if max(map(len, labels)) > 8 else "horizontal"
    axes.set_xticks(range(len(labels)), labels, rotation=upright)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel(
        "predicted" if few else "predicted (shade: share of the row)", color=INK, fontsize=9
    )
    axes.set_ylabel("gold", color=INK, fontsize=9)
    axes.tick_params(length=0, labelcolor=INK, labelsize=9 if few else 7)
    axes.spines[:].set_color(GREY)
    figure.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold", color=INK)
    return figure
