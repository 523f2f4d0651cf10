"""Curves to be drawn, without the library that draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Points = Sequence[tuple[int, float]]
"""(update, value), in order; values that are not finite are left out."""

Smoothing = Literal["over original", "alone", "off"]


@dataclass(frozen=True)
class Panel:
    """One pair of axes: curves by name, and how to draw them."""

    curves: Mapping[str, Points]
    ylabel: str
    """The quantity, with its unit."""
    floor: float | None = None
    """The unigram floor, drawn as a dashed line."""
    smoothing: Smoothing = "over original"
    """Of long curves: before the pale original, alone (for events, 1 or 0 an update), or none."""
    share: bool = False
    """Values between 0 and 1, shown as per cent."""
    log: bool = False
    from_zero: bool = False
