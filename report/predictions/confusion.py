"""Confusion matrix of a classifier, as a picture that prints well, or as a table."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from data.storage.atomic import write_text
from report.plots import GREY, INK, save_figure

FEW = 10  # up to so many classes each cell has room for its share
MOST_DRAWN = 40
"""The most classes whose matrix is still read as a picture; it grows with their square."""


def write_confusion(
    folder: Path,
    split: str,
    pairs: Sequence[tuple[str, str]],
    labels: Sequence[str],
    *,
    title: str,
) -> None:
    """Writes `confusion-SPLIT.png` or, of many classes, the pairs that occur into a csv.

    Args:
        folder: to write to.
        split: of the examples.
        pairs: the right and the predicted class of each example.
        labels: the classes in order.
        title: of the picture.
    """
    counts = Counter(pairs)
    if len(labels) > MOST_DRAWN:
        table = io.StringIO()
        rows = csv.writer(table, lineterminator="\n")
        rows.writerow(["gold", "predicted", "examples"])
        rows.writerows([*pair, count] for pair, count in counts.most_common())
        write_text(folder / f"confusion-{split}.csv", table.getvalue())
        return
    matrix = np.array([[counts[gold, predicted] for predicted in labels] for gold in labels])
    save_figure(draw_confusion(matrix, labels, title=title), folder / f"confusion-{split}.png")


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
