"""A picture of all attention maps: layers down, heads across, one model beside the other."""

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from eval.attend.maps import AttentionMaps
from eval.attend.ramp import TICKS, colours
from report.plots import GREY, INK, save_figure

NAMED_TOKENS = 24
"""The longest text whose tokens are written beside the maps."""
LINE = 0.1
"""Inches of a token's line."""


def draw_attention(path: Path, text: str, models: Sequence[AttentionMaps]) -> None:
    """Writes a PNG, in whose title is the text. All places are computed here, in inches."""
    tokens = models[0].tokens
    named = len(tokens) <= NAMED_TOKENS
    side = min(max(LINE * len(tokens), 0.8), 2.0) if named else 1.1
    longest = max(map(len, tokens)) if named else 0
    margin, below = 0.75 + 0.065 * longest, 0.25 + 0.065 * longest
    grids = [np.array(each.maps.shape[1::-1]) * (side + 0.12) for each in models]  # width, height
    width = max(sum(margin + across for across, _ in grids) + 0.3, 4.5)
    top = 0.95
    height = top + max(down for _, down in grids) + below + 0.5
    title = shorten(f"Attention: {text}", int(9 * width), placeholder=" …")
    figure = Figure(figsize=(width, height))
    style: dict[str, Any] = {"fontsize": 12, "fontweight": "bold", "color": INK, "va": "top"}
    figure.text(0.2 / width, 1 - 0.15 / height, title, **style)
    left = 0.0
    for each, (across, down) in zip(models, grids, strict=True):
        left += margin
        place = (left / width, 1 - (top + down) / height, across / width, down / height)
        _draw_model(figure.add_axes(place), each, side, named)
        left += across
    scale = figure.add_axes((0.75 / width, 0.38 / height, 2.6 / width, 0.1 / height))
    _draw_scale(scale)
    save_figure(figure, path)


def _draw_model(axes: Axes, model: AttentionMaps, side: float, named: bool) -> None:
    layers, heads, length, _ = model.maps.shape
    unit = side / length  # inches of a token
    step = side + 0.12
    axes.set_xlim(0, heads * step)
    axes.set_ylim(layers * step, 0)
    axes.axis("off")
    axes.set_title(model.name, loc="left", fontsize=10, color=INK, pad=20)
    small = {"fontsize": 7, "color": INK}
    for layer in range(layers):
        for head in range(heads):
            x, y = head * step, layer * step
            extent = (x, x + side, y + side, y)
            axes.imshow(colours(model.maps[layer, head]), extent=extent, aspect="auto")
            axes.add_patch(Rectangle((x, y), side, side, fill=False, ec=GREY, lw=0.4))
    axes.set_xlim(0, heads * step)
    axes.set_ylim(layers * step, 0)
    for head in range(heads):
        axes.text(head * step + side / 2, -0.06, f"head {head}", ha="center", va="bottom", **small)
    at = -0.12 - (0.065 * max(map(len, model.tokens)) if named else 0)
    for layer in range(layers):
        middle = layer * step + side / 2
        axes.text(at, middle, f"layer {layer}", ha="right", va="center", rotation=90, **small)
    if not named:
        return
    tiny = {"fontsize": 5.5, "color": INK}
    for number, token in enumerate(model.tokens):
        middle = (number + 0.5) * unit
        for layer in range(layers):
            axes.text(-0.05, layer * step + middle, token, ha="right", va="center", **tiny)
        for head in range(heads):
            bottom = (layers - 1) * step + side + 0.05
            across = head * step + middle
            axes.text(across, bottom, token, ha="center", va="top", rotation=90, **tiny)


def _draw_scale(axes: Axes) -> None:
    levels = np.linspace(0, 1, 256, dtype=np.float32)[None] ** 2
    axes.imshow(colours(levels), extent=(0, 1, 0, 1), aspect="auto")
    axes.set_yticks([])
    axes.set_xticks([math.sqrt(tick) for tick in TICKS], [f"{100 * tick:g} %" for tick in TICKS])
    axes.tick_params(labelsize=7, color=GREY, labelcolor=INK)
    about = "share of the attention of a row's token that goes to a column's"
    axes.set_title(about, loc="left", fontsize=7, color=INK, pad=3)
    axes.spines[:].set_color(GREY)
