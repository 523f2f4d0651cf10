"""Floating-point operations of a function, counted in its traced form."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


def matmul_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """Multiplications and additions of all matrix products, two for each pair of factors.

    Read from the traced function, so every loss and head counts as what it is: in a training step
    the products forward and the two behind each, in a scan as often as it runs. Elementwise work,
    softmax and lookups count nothing, as in model FLOPs everywhere. XLA's own count
    (`cost_analysis`) takes a loop's body once, whatever its length.

    Args:
        function: what JAX can trace.
        *arguments: arrays or their shapes.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Jaxpr) -> int:
    return sum(_operations(equation) for equation in jaxpr.eqns)


def _operations(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (summed, _), _ = params["dimension_numbers"]
        factors = equation.invars[0].aval.shape
        depth = math.prod(factors[axis] for axis in summed)
        # A single row sums a bias's gradient (`model.blocks.layers.dense`): a sum, not a product.
        return 0 if factors == (1, depth) else 2 * depth * equation.outvars[0].aval.size
    inner = [_count(part) for value in params.values() for part in _jaxprs(value)]
    if name == "cond":
        return max(inner, default=0)
    return sum(inner) * (params["length"] if name == "scan" else 1)


def _jaxprs(value: Any) -> list[Jaxpr]:
    if isinstance(value, ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, Jaxpr):
        return [value]
    if isinstance(value, tuple | list):
        return [jaxpr for part in value for jaxpr in _jaxprs(part)]
    return []
