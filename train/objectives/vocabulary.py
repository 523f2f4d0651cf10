"""Losses over the vocabulary that never store the scores of all tokens.

A vector of 30,522 scores a token, for teacher and student and once more for the gradient, is most
of what a step of distillation would keep in memory. Here the tokens are taken in chunks of the
sequence axis, which leaves the batch axis to the devices. The gradient of a chunk is made at once:
nothing of it stays but its share in the gradients of features and table, and nothing is computed
twice.
"""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int

from model.blocks.linear_map import linear_map
from model.blocks.products import einsum
from model.heads import Decoder
from train.objectives.losses import masked_sum, weighted_sum
from train.objectives.objective import Numbers, Scalars
from train.objectives.terms import Logits, LogitTerm

CHUNK = 32
"""Tokens of every row that are scored at a time: of 64 rows, 250 MB of scores a model."""


class Given(NamedTuple):
    """The target of the student at each of its tokens; one value, as it is cut into chunks."""

    teacher: Decoder | None
    labels: Int[Array, "rows tokens"]
    where: dict[str, Bool[Array, "rows tokens"]]
    """By term, the tokens that it is summed over."""


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def vocabulary_loss(
    terms: tuple[tuple[str, LogitTerm], ...],
    chunk: int,
    student: Decoder,
    given: Given,
    numbers: Numbers,
    shares: Mapping[str, Any],
) -> tuple[Float32[Array, ""], Scalars]:
    """Several losses over the vocabulary: their weighted sum over all tokens, and each one's sum.

    The gradient of the weighted sum for `student` is made on the way there, which is why the
    weights come in. All other derivatives are JAX's own; those in reverse store all scores.

    Args:
        terms: the losses by name.
        chunk: tokens of a row that are scored at a time.
        student: what learns.
        given: what it is compared with.
        numbers: of the terms, see `Objective`.
        shares: the weight of one token, by term.
    """

    def step(total, part):
        features, sums = _chunk(terms, numbers, given.teacher, part)
        return _add(total, sums(student._replace(features=features).scores())), None

    sums, _ = jax.lax.scan(step, _zeros(terms), _chunks(chunk, student, given))
    return weighted_sum(sums, shares), sums


@vocabulary_loss.defjvp
def _tangent(terms, chunk, primals, tangents):
    def move(known, tangents):
        student, given, *others = known[1]

        def plain(student, teacher, *others):
            given_teacher = given._replace(teacher=teacher)
            return inspect.unwrap(vocabulary_loss)(terms, chunk, student, given_teacher, *others)

        return jax.jvp(plain, (student, given.teacher, *others), tangents)[1]

    def transpose(known, cotangents):
        of_loss, of_sums = cotangents
        if of_loss is None or jax.tree.leaves(of_sums):
            return None
        scaled = jax.tree.map(lambda leaf: of_loss.astype(leaf.dtype) * leaf, known[0])
        return scaled, None, None, None

    value, gradient = _with_gradient(terms, chunk, *primals)
    of_student, of_given, *others = tangents
    moved = of_student, of_given.teacher, *others
    return value, linear_map(move, transpose, (gradient, primals), moved)


def _with_gradient(terms, chunk, student, given, numbers, shares):
    table = student.table.astype(student.features.dtype)

    def step(total, part):
        features, sums = _chunk(terms, numbers, given.teacher, part)
        totals, gradient = jax.vjp(sums, student._replace(features=features).scores())
        (of_scores,) = gradient({name: shares[name] for name in totals})
        # Rounded to the dtype of the features, as the gradient of any activation is.
        rounded = of_scores.astype(features.dtype)
        of_features = einsum("rtv,vh->rth", rounded, table, jnp.float32).astype(features.dtype)
        of_table = einsum("rtv,rth->vh", rounded, features, jnp.float32)
        return _add(total, (totals, of_table, jnp.sum(of_scores, axis=(0, 1)))), of_features

    zeros = jnp.zeros_like(student.table), jnp.zeros_like(student.bias)
    (sums, of_table, of_bias), of_features = jax.lax.scan(
        step, (_zeros(terms), *zeros), _chunks(chunk, student, given)
    )
    rows, tokens, width = student.features.shape
    of_features = jnp.moveaxis(of_features, 0, 1).reshape(rows, -1, width)[:, :tokens]
    return (weighted_sum(sums, shares), sums), Decoder(of_features, of_table, of_bias)


def _chunks(size: int, student: Decoder, given: Given):
    """The arrays with an axis of tokens, as [chunks, rows, tokens, ...]; padding is not summed."""
    tokens = given.labels.shape[1]
    count = -(-tokens // size)
    size = -(-tokens // count)

    def split(array: Array) -> Array:
        padding = [(0, 0), (0, count * size - tokens)] + [(0, 0)] * (array.ndim - 2)
        padded = jnp.pad(array, padding)
        return jnp.moveaxis(padded.reshape(array.shape[0], count, size, *array.shape[2:]), 1, 0)

    teacher = None if given.teacher is None else given.teacher.features
    return jax.tree.map(split, (student.features, teacher, given.labels, given.where))


def _chunk(terms, numbers: Numbers, teacher: Decoder | None, part):
    """A chunk's features, and the function from the student's scores there to each term's sum."""
    features, theirs, labels, where = part
    logits: Any = None if teacher is None else teacher._replace(features=theirs).scores()

    def sums(student: Logits) -> Scalars:
        values = {name: term.values(student, logits, labels, numbers[name]) for name, term in terms}
        return {name: masked_sum(value, where[name])[0] for name, value in values.items()}

    return features, sums


def _zeros(terms) -> Scalars:
    return {name: jnp.zeros((), jnp.float32) for name, _ in terms}


def _add(a, b):
    return jax.tree.map(jnp.add, a, b)
