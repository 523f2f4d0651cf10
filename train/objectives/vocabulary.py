"""Losses over the vocabulary that never store the scores of all tokens.

A vector of 30,522 scores a token, for teacher and student and once more for the gradient, is most
of what a step of distillation would keep in memory. Here the tokens are taken in chunks of the
sequence axis, which leaves the batch axis to the devices. The gradient of a chunk is made at once:
nothing of it stays but its share in the gradients of features and table, and nothing is computed
twice.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int

from model.heads import Decoder
from train.objectives.losses import masked_sum, weighted_sum
from train.objectives.objective import Metrics, Numbers

CHUNK = 32
"""Tokens of every row that are scored at a time: of 64 rows, 250 MB of scores a model."""


class Scores(NamedTuple):
    """What a loss over the vocabulary looks at: some tokens, as both models score them."""

    student: Float32[Array, "rows tokens vocab"]
    teacher: Float32[Array, "rows tokens vocab"] | None
    labels: Int[Array, "rows tokens"]
    """The token that was hidden, where one was."""


@runtime_checkable
class VocabularyLoss(Protocol):
    """A loss at each of some tokens; `now` has the present values of its numbers."""

    def values(self, scores: Scores, now: dict[str, Any]) -> Float[Array, "rows tokens"]: ...


class Given(NamedTuple):
    """What the student is compared with, at each of its tokens."""

    teacher: Decoder | None
    labels: Int[Array, "rows tokens"]
    where: dict[str, Bool[Array, "rows tokens"]]
    """By term, the tokens that it is summed over."""


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def vocabulary_loss(
    terms: tuple[tuple[str, VocabularyLoss], ...],
    chunk: int,
    student: Decoder,
    given: Given,
    numbers: Numbers,
    shares: Mapping[str, Any],
) -> tuple[Float32[Array, ""], Metrics]:
    """Several losses over the vocabulary: their weighted sum over all tokens, and each one's sum.

    Only the weighted sum has a gradient, and only for `student`. It is made on the way there, which
    is why the weights come in.

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


def _forward(terms, chunk, student, given, numbers, shares):
    table = student.table.astype(student.features.dtype)
    product = partial(jnp.einsum, preferred_element_type=jnp.float32)

    def step(total, part):
        features, sums = _chunk(terms, numbers, given.teacher, part)
        told, gradient = jax.vjp(sums, student._replace(features=features).scores())
        (of_scores,) = gradient({name: shares[name] for name in told})
        # Rounded to the dtype of the features, as the gradient of any activation is.
        rounded = of_scores.astype(features.dtype)
        of_features = product("rtv,vh->rth", rounded, table).astype(features.dtype)
        of_table = product("rtv,rth->vh", rounded, features)
        return _add(total, (told, of_table, jnp.sum(of_scores, axis=(0, 1)))), of_features

    zeros = jnp.zeros_like(student.table), jnp.zeros_like(student.bias)
    (sums, of_table, of_bias), of_features = jax.lax.scan(
        step, (_zeros(terms), *zeros), _chunks(chunk, student, given)
    )
    rows, tokens, width = student.features.shape
    of_features = jnp.moveaxis(of_features, 0, 1).reshape(rows, -1, width)[:, :tokens]
    return (weighted_sum(sums, shares), sums), Decoder(of_features, of_table, of_bias)


def _backward(terms, chunk, gradient, cotangents):
    of_loss, _ = cotangents
    scaled = jax.tree.map(lambda leaf: of_loss.astype(leaf.dtype) * leaf, gradient)
    return scaled, None, None, None


vocabulary_loss.defvjp(_forward, _backward)


def _chunks(size: int, student: Decoder, given: Given):
    """What tokens do not share, as [chunks, rows, tokens, ...]; no padding is summed over."""
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
    scores = None if teacher is None else teacher._replace(features=theirs).scores()

    def sums(student: Float32[Array, "rows tokens vocab"]) -> Metrics:
        seen = Scores(student, scores, labels)
        return {
            name: masked_sum(term.values(seen, numbers[name]), where[name])[0]
            for name, term in terms
        }

    return features, sums


def _zeros(terms) -> Metrics:
    return {name: jnp.zeros((), jnp.float32) for name, _ in terms}


def _add(a, b):
    return jax.tree.map(jnp.add, a, b)
