"""Numbers that may change over a run, such as the weight of a loss."""

from collections.abc import Mapping

from jaxtyping import Array, Float

from model.ranges import Range

Number = float | tuple[float, float]
"""A constant; or the values at the first and the last update, with a straight line between."""
WEIGHTS = Range(0, 10**6)
TEMPERATURES = Range(0.01, 1000)

Now = Mapping[str, float | Float[Array, ""]]
"""The present values of several numbers, by name."""


def ends(number: Number) -> tuple[float, float]:
    """The values at the first and at the last update."""
    return number if isinstance(number, tuple) else (number, number)


def value_at(
    ends: tuple[float, float] | Float[Array, "2"], progress: float | Float[Array, ""]
) -> float | Float[Array, ""]:
    """The value when a share `progress` of the run is done, from 0 to 1."""
    return ends[0] + (ends[1] - ends[0]) * progress
