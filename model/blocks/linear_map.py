"""A linear map whose transpose is a program of its own, for tangents under any transformation.

A rule of `jax.custom_jvp` is linear in the tangents, and JAX transposes its operations one by one
to make the gradient. `jax.custom_vjp` names the gradient instead, but then there is no forward
mode, and so no curvature. `jax.custom_derivatives.linear_call` has both but no `vmap`. This is the
same as a primitive, which `vmap`, `scan`, `remat` and a second derivative can handle.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

_map = Primitive("linear_map")
_map.multiple_results = True


def linear_map(
    apply: Callable[[Any, Any], Any], transpose: Callable[[Any, Any], Any], known: Any, vectors: Any
) -> Any:
    """The value of `apply(known, vectors)`, all trees of arrays.

    Args:
        apply: linear in `vectors`. Second derivatives are JAX's own, of this function.
        transpose: from `known` and the cotangents of the result, None for one that is zero, to
            those of `vectors`. Where it returns None for what is needed, JAX transposes `apply`.
        known: not differentiated at first order.
        vectors: tangents.
    """
    shapes, of_result = jax.tree.flatten(jax.eval_shape(apply, known, vectors))
    leaves, of_known = jax.tree.flatten(known)
    more, of_vectors = jax.tree.flatten(vectors)

    def forward(known: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        return jax.tree.leaves(apply(of_known.unflatten(known), of_vectors.unflatten(vectors)))

    def backward(known: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        made = transpose(of_known.unflatten(known), of_result.unflatten(cotangents))
        whole = jax.tree.broadcast(made, vectors, is_leaf=lambda leaf: leaf is None)
        return of_vectors.flatten_up_to(whole)

    made = _map.bind(
        *leaves,
        *more,
        forward=forward,
        backward=backward,
        count=len(leaves),
        shapes=tuple((leaf.shape, leaf.dtype) for leaf in shapes),
    )
    return of_result.unflatten(made)


def _evaluate(*leaves: Any, forward: Callable, count: int, **_: Any) -> list[Any]:
    return forward(leaves[:count], leaves[count:])


_map.def_impl(_evaluate)
_map.def_abstract_eval(lambda *_, shapes, **__: [ShapedArray(*shape) for shape in shapes])
mlir.register_lowering(_map, mlir.lower_fun(_evaluate, multiple_results=True))


def _jvp(leaves: Any, tangents: Any, **params: Any) -> tuple[list[Any], list[Any]]:
    count, forward = params["count"], params["forward"]
    known, vectors = tuple(leaves[:count]), leaves[count:]
    whole = tuple(ad.instantiate_zeros(tangent) for tangent in tangents)
    moved = []
    if _any_moves(tangents[count:]):
        moved.append(_map.bind(*known, *whole[count:], **params))
    if _any_moves(tangents[:count]):
        by_known = partial(forward, vectors=vectors)
        moved.append(jax.jvp(by_known, (known,), (whole[:count],))[1])
    return _map.bind(*leaves, **params), reduce(partial(jax.tree.map, jnp.add), moved)


def _any_moves(tangents: Sequence[Any]) -> bool:
    return any(type(tangent) is not ad.Zero for tangent in tangents)


def _transpose(cotangents: Any, *leaves: Any, **params: Any) -> list[Any]:
    known, vectors = leaves[: params["count"]], leaves[params["count"] :]
    nothing = [None] * len(known)
    if not _any_moves(cotangents):
        return [*nothing, *(None for _ in vectors)]
    needed = [ad.is_undefined_primal(vector) for vector in vectors]
    given = [None if type(cotangent) is ad.Zero else cotangent for cotangent in cotangents]
    found = params["backward"](known, given)
    if any(need and one is None for need, one in zip(needed, found, strict=True)):
        zeros = tuple(
            jnp.zeros(v.aval.shape, v.aval.dtype) if n else v
            for v, n in zip(vectors, needed, strict=True)
        )
        _, pull = jax.vjp(partial(params["forward"], known), zeros)
        (found,) = pull([ad.instantiate_zeros(cotangent) for cotangent in cotangents])
    return [*nothing, *(one if need else None for one, need in zip(found, needed, strict=True))]


def _batch(leaves: Any, dims: Any, **params: Any) -> tuple[list[Any], list[int]]:
    axes = tuple(dims[: params["count"]]), tuple(dims[params["count"] :])
    size = next(a.shape[d] for a, d in zip(leaves, dims, strict=True) if d is not None)

    def forward(known: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        mapped = jax.vmap(params["forward"], in_axes=axes, axis_size=size)
        return mapped(tuple(known), tuple(vectors))

    def backward(known: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        mapped = jax.vmap(params["backward"], in_axes=(axes[0], 0), axis_size=size)
        return [
            one if one is None else jnp.sum(one, 0) if dim is None else jnp.moveaxis(one, 0, dim)
            for one, dim in zip(mapped(tuple(known), cotangents), axes[1], strict=True)
        ]

    shapes = tuple(((size, *shape), dtype) for shape, dtype in params["shapes"])
    changed = {"forward": forward, "backward": backward, "shapes": shapes}
    return _map.bind(*leaves, **(params | changed)), [0] * len(shapes)


ad.primitive_jvps[_map] = _jvp
ad.primitive_transposes[_map] = _transpose
batching.primitive_batchers[_map] = _batch
