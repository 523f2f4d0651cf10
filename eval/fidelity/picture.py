"""Pictures of fidelity: CKA of all pairs of layers, heads that are matched, probes by layer."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.fidelity.measure import Fidelity
from report.panel import Panel
from report.plots import GREY, INK, plot_panels, save_figure

CKA_TITLES = {
    "student": "student",
    "untrained": "untrained student",
    "shuffled": "student, teacher's tokens shuffled",
}
CELL = 0.34
"""Inches of a pair of layers, in which its number is written."""


def draw_cka(path: Path, fidelity: Fidelity) -> None:
    """Writes a PNG: a table of colours and numbers for the student and each baseline."""
    down, across = fidelity.cka["student"].shape
    width, height = across * CELL + 0.9, down * CELL + 1.1
    figure = Figure(figsize=(3 * width + 0.3, height + 0.55), layout="constrained")
    title = "Debiased linear CKA with the teacher, layer by layer"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    for number, (name, table) in enumerate(fidelity.cka.items(), start=1):
        axes = figure.add_subplot(1, 3, number)
        axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
        for place, value in np.ndenumerate(table):
            # "1" and ".97" are short enough for a cell; a NaN, of what does not vary, is a dash.
            text = "–" if np.isnan(value) else f"{max(value, 0):.2f}".removeprefix("0")
            colour = "white" if value > 0.6 else INK
            axes.text(place[1], place[0], text, ha="center", va="center", fontsize=7, color=colour)
        axes.set_title(CKA_TITLES[name], loc="left", fontsize=9, color=INK)
        _name_layers(axes, down, across)
    save_figure(figure, path)


def _name_layers(axes: Axes, down: int, across: int) -> None:
    for axis, count in ((axes.yaxis, down), (axes.xaxis, across)):
        axis.set_ticks(range(count), ["emb.", *map(str, range(count - 1))])
    axes.set_ylabel("layer of the student", fontsize=8, color=INK)
    axes.set_xlabel("layer of the teacher", fontsize=8, color=INK)
    axes.tick_params(length=0, labelsize=7, labelcolor=INK)
    axes.spines[:].set_visible(False)


def draw_heads(path: Path, fidelity: Fidelity, heads: tuple[int, int]) -> None:
    """Writes a PNG: the affinity of all pairs of heads, with a mark at those that are matched.

    `heads` are those of a layer, of the student and of the teacher.
    """
    matching = fidelity.heads["student"]
    table = matching.affinity
    down, across = table.shape
    cell = min(max(0.055, 3.2 / across), 0.3)
    size = (max(across * cell + 1.6, 5.0), max(down * cell, 1.2) + 1.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    title = "Affinity of attention heads, and the best matching"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    image = axes.imshow(table, cmap="Blues", vmin=min(0.5, float(table.min())), vmax=1)
    ours, theirs = zip(*matching.pairs, strict=True)
    axes.plot(theirs, ours, "o", color="#D55E00", markersize=max(3.0, 18 * cell), mew=0)
    for axis, each, count in ((axes.yaxis, heads[0], down), (axes.xaxis, heads[1], across)):
        middles = np.arange(0, count, each) + (each - 1) / 2
        axis.set_ticks(middles, map(str, range(count // each)))
    for line in np.arange(heads[0], down, heads[0]) - 0.5:
        axes.axhline(line, color="white", linewidth=1.2)
    for line in np.arange(heads[1], across, heads[1]) - 0.5:
        axes.axvline(line, color="white", linewidth=1.2)
    axes.set_ylabel("layer of the student", fontsize=8, color=INK)
    axes.set_xlabel("layer of the teacher", fontsize=8, color=INK)
    axes.tick_params(length=0, labelsize=7, labelcolor=INK)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    bar.ax.tick_params(labelsize=7, color=GREY, labelcolor=INK)
    bar.outline.set_visible(False)  # type: ignore[operator]
    save_figure(figure, path)


def draw_probes(path: Path, fidelity: Fidelity, majority: float) -> None:
    """Writes a PNG: the accuracy on the classes and on the control task, by layer."""
    assert fidelity.probes is not None
    panels = [
        Panel(
            {name: list(enumerate(getattr(each, task))) for name, each in fidelity.probes.items()}
            | ({"most frequent class": _level(fidelity, majority)} if task == "classes" else {}),
            ylabel=label,
            share=True,
            smoothing="off",
        )
        for task, label in (
            ("classes", "accuracy on word classes"),
            ("control", "accuracy on the control task"),
        )
    ]
    title = "Linear probes of the hidden states"
    plot_panels(path, panels, xlabel="layers below (0: the embeddings)", title=title)


def _level(fidelity: Fidelity, value: float) -> list[tuple[int, float]]:
    assert fidelity.probes is not None
    last = max(len(each.classes) for each in fidelity.probes.values()) - 1
    return [(0, value), (last, value)]
