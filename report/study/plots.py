"""Pictures of a study: differences with every seed, learning curves, loss against compute.

Nothing is shown by colour alone, so that they survive a grey printer.
"""

import textwrap
from collections.abc import Mapping
from itertools import cycle, pairwise
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from report.naming import MINUS, capital, difference, is_share, label, noun, probability, scale
from report.plots import COLOURS, GREY, INK, Panel, save_figure, style_axes
from report.study.comparison import MIN_SEEDS, Comparison
from report.study.conclusion import seeds
from report.study.curves import curves_of_variant, mean_curve
from report.study.folder import Study
from report.study.scaling import HELDOUT_LOSS, Scaling

BLUE = COLOURS[0]


def draw_pictures(
    folder: Path,
    study: Study,
    comparisons: Mapping[str, Comparison],
    scaling: Scaling | None = None,
) -> dict[str, str]:
    """Writes those pictures into `folder` that there are numbers for, and removes the others.

    Returns:
        Their captions, by file name.
    """
    primary = comparisons[study.primary]
    names = [name for run in study.runs for _, metrics in run.curve for name in metrics]
    pictures = {}
    if any(row.difference is not None for row in primary.rows.values()):
        draw_differences(folder / "differences.png", study, primary)
        pictures["differences.png"] = f"Differences in {noun(study.primary)}"
    if names:
        curve = study.primary if study.primary in names else names[0]
        draw_curves(folder / "curves.png", study, curve)
        pictures["curves.png"] = f"Learning curves: {noun(curve)}"
    if scaling is not None:
        draw_scaling(folder / "scaling.png", study, comparisons[HELDOUT_LOSS], scaling)
        pictures["scaling.png"] = "Held-out loss against the operations of training"
    for file in {"differences.png", "curves.png", "scaling.png"} - pictures.keys():
        (folder / file).unlink(missing_ok=True)  # of an earlier report
    return pictures


def draw_differences(path: Path, study: Study, comparison: Comparison) -> None:
    """Draws the difference of each variant to the reference: every seed, the mean, its interval."""
    rows = {name: row.difference for name, row in comparison.rows.items() if row.difference}
    names = {name: textwrap.fill(name, 30) for name in rows}
    lines = sum(max(1.3, 0.9 + 0.6 * name.count("\n")) for name in names.values())
    figure = Figure(figsize=(7.2, 0.36 * lines + 1.5), layout="constrained")
    axes = figure.add_subplot()
    factor, unit = scale(comparison.metric)
    axes.axvline(0, color=GREY, linewidth=1.2, zorder=1)
    references = [comparison.rows[name].reference for name in rows]
    for place, (above, below) in enumerate(pairwise(references)):
        if above != below:
            axes.axhline(place + 0.5, color=GREY, linewidth=0.6)
    for place, found in enumerate(rows.values()):
        colour = BLUE if found.distinguishable else GREY
        mean, each = factor * found.mean, [factor * number for number in found.values.values()]
        dots = {"color": colour, "alpha": 0.6, "markersize": 4, "mew": 0}
        axes.plot(each, [place + 0.22] * len(each), "o", **dots)
        if found.interval is not None:
            half = factor * found.interval
            axes.plot([mean - half, mean + half], [place - 0.08] * 2, color=colour, linewidth=2)
        face = colour if found.distinguishable else "white"
        axes.plot([mean], [place - 0.08], "D", color=colour, markerfacecolor=face, markersize=5)
        text = difference(comparison.metric, found.mean, found.interval, unit=False)
        if p := probability(found.p_holm):
            text += f"\np {p}" if p.startswith("<") else f"\np = {p}"
        axes.annotate(
            text,
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    style_axes(axes, Panel({}, ""), "")
    axes.grid(visible=False)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.set_yticks(range(len(rows)), list(names.values()), fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", MINUS)))
    ends = ("worse", "better") if study.better == "higher" else ("better", "worse")
    unit = f" ({unit})" if unit else ""
    axes.set_xlabel(
        f"← {ends[0]}      difference in {noun(comparison.metric)}{unit}      {ends[1]} →",
        color=INK,
        fontsize=9,
    )
    count = len(comparison.seeds)
    seeds = "the one seed" if count == 1 else f"the {count} seeds"
    note = f"Diamond: mean. Dots: {seeds}, too few for an interval."
    if count >= MIN_SEEDS:
        note = (
            f"Diamond and bar: mean and 95 % interval. Dots: {seeds}. Filled: distinguishable from "
            "zero (p < 0.05, paired t test with Holm's correction)."
        )
    groups = comparison.groups()
    against = f"“{next(iter(groups))}”" if len(groups) == 1 else "the first of each condition"
    title = f"{capital(noun(comparison.metric))}, against {against}"
    _save(figure, title, note, path)


def draw_curves(path: Path, study: Study, metric: str) -> None:
    """Draws small axes for each variant: its mean, its seeds pale behind, the reference dashed."""
    curves = {name: curves_of_variant(study, name, metric) for name in study.variants}
    curves = {name: found for name, found in curves.items() if found}
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(max(2.5 * columns, 4.5) + 0.4, 2.1 * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    references = study.references()
    for place, (axes, (name, found)) in enumerate(zip(grid.flat, curves.items(), strict=False)):
        for points in found:
            axes.plot([*points], [*points.values()], color=BLUE, linewidth=0.7, alpha=0.4)
        axes.plot(*mean_curve(found), color=BLUE, linewidth=2)
        reference = curves.get(references[name])
        if reference is not None and name != references[name]:
            axes.plot(*mean_curve(reference), color=INK, linewidth=1.1, linestyle=(0, (4, 2)))
        lowest = place + columns >= len(curves)
        style_axes(axes, Panel({}, "", share=is_share(metric)), "updates" if lowest else "")
        axes.set_title(textwrap.fill(name, 30), loc="left", fontsize=9, color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10], integer=True))
        axes.tick_params(labelbottom=lowest)
        if place % columns == 0:
            axes.set_ylabel(label(metric), color=INK, fontsize=9)
    for axes in grid.flat[len(curves) :]:
        axes.set_visible(False)
    note = "Thick: mean. Thin: single seeds."
    compared = {references[name] for name in curves if name != references[name]}
    if compared & curves.keys():
        against = f"“{study.reference}”" if len(compared) == 1 else "what it is compared with"
        note += f" Dashed: the mean of {against}."
    _save(figure, f"{capital(noun(metric))} while learning", note, path)


def draw_scaling(path: Path, study: Study, losses: Comparison, scaling: Scaling) -> None:
    """Draws the loss of each student against its operations, both logarithmic, and their law."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    sizes: dict[int, list[str]] = {}
    for name in sorted(scaling.operations, key=scaling.operations.__getitem__):
        sizes.setdefault(study.variants[name].parameters, []).append(name)
    looks = zip(sorted(sizes), cycle(COLOURS), cycle("os^Dv"), strict=False)
    for size, colour, marker in looks:
        names = sizes[size]
        means = [scaling.losses[name] for name in names]
        compute = [scaling.operations[name] for name in names]
        named = f"{size / 1e6:.2f} M parameters"
        axes.plot(compute, means, color=colour, linewidth=0.8, alpha=0.6, zorder=1)
        axes.plot([], [], marker, color=colour, label=named)
        for name, at, mean in zip(names, compute, means, strict=True):
            each = [losses.rows[name].values[seed] for seed in losses.seeds]
            axes.plot([at] * len(each), each, ".", color=colour, alpha=0.5, markersize=3, mew=0)
            face = colour if name in scaling.best else "white"
            axes.plot([at], [mean], marker, color=colour, markerfacecolor=face, markersize=6)
    note = f"Filled: the best for their compute, in the mean over {seeds(len(losses.seeds))}."
    if scaling.law is not None:
        ends = [scaling.operations[name] for name in (scaling.best[0], scaling.best[-1])]
        line = {"color": INK, "linewidth": 1.2, "linestyle": (0, (4, 2)), "zorder": 0}
        axes.plot(ends, [scaling.law(end) for end in ends], label="power law", **line)
        note += " Dashed: the power law through them."
    style_axes(axes, Panel({}, ""), "operations of training (matrix products)")
    axes.set_ylabel(label(HELDOUT_LOSS), color=INK, fontsize=9)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0e}".replace("e+", "e")))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.margins(x=0.05)
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5, labelcolor=INK
    )
    _save(figure, f"{capital(noun(HELDOUT_LOSS))} against compute", note, path)


def _save(figure: Figure, title: str, note: str, path: Path) -> None:
    width = figure.get_figwidth()  # in inches
    title, note = textwrap.fill(title, int(8 * width)), textwrap.fill(note, int(16 * width))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8, color=INK)
    save_figure(figure, path)
