"""Losses of embeddings: of a query against all documents of a batch, and against a teacher.

Vectors are compared by their cosine, divided by 0.05: as with the scale of 20 of
sentence-transformers' MultipleNegativesRankingLoss.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int

from model.blocks.products import einsum
from model.losses import cross_entropy
from tasks.kind import NEVER

TEMPERATURE = 0.05


def margin_error(
    student: Float[Array, "rows texts"],
    teacher: Float[Array, "rows texts"],
    there: Bool[Array, "rows texts"],
) -> Float32[Array, " rows"]:
    """Margin-MSE: (score of the document - that of a negative), against the teacher's, squared.

    Hofstaetter et al. 2020 (2010.02666). The mean over a row's negatives, which are
    all texts but the first; 0 where it has none.
    """
    gaps = [scores[:, :1] - scores[:, 1:] for scores in (student, teacher)]
    return _mean(jnp.square(gaps[0] - gaps[1]), there[:, 1:])


def vector_distance(
    student: Float[Array, "rows texts width"],
    teacher: Float[Array, "rows texts width"],
    there: Bool[Array, "rows texts"],
) -> Float32[Array, " rows"]:
    """1 - cosine of the student's and the teacher's vector of a text, the mean over a row's texts.

    Both have the length 1. Reimers and Gurevych 2020 (2004.09813) take the squared error, which for
    such vectors is twice that.
    """
    return _mean(1 - jnp.sum(student * teacher, axis=-1), there)


def _mean(
    values: Float[Array, "rows texts"], where: Bool[Array, "rows texts"]
) -> Float32[Array, " rows"]:
    count = jnp.maximum(jnp.sum(where, axis=1, dtype=jnp.float32), 1.0)
    return jnp.sum(jnp.where(where, values, 0.0), axis=1) / count


def of_length_one(vectors: Float[Array, "*batch width"]) -> Float32[Array, "*batch width"]:
    """Vectors of length 1, and 0 for 0; the gradient there is finite."""
    vectors = vectors.astype(jnp.float32)
    squares = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    return vectors / jnp.sqrt(jnp.maximum(squares, 1e-24))


def similarity(
    queries: Float[Array, "rows width"],
    documents: Float[Array, "all width"],
    usable: Bool[Array, " all"],
) -> Float32[Array, "rows all"]:
    """The products of all queries with all documents over `TEMPERATURE`, or `NEVER`."""
    products = einsum("rw,dw->rd", queries, documents, jnp.float32)
    return jnp.where(usable[None], products / TEMPERATURE, NEVER)


def own_similarity(
    vectors: Float[Array, "rows all width"],
) -> Float32[Array, "rows documents"]:
    """The same of each row's query, its first vector, with the other vectors of the row."""
    products = einsum("rw,rdw->rd", vectors[:, 0], vectors[:, 1:], jnp.float32)
    return products / TEMPERATURE


def contrast(
    scores: Float[Array, "rows all"],
    own: Int[Array, " rows"],
    documents: Int[Array, " all"],
    right: Int[Array, "rows most"],
) -> Float32[Array, " rows"]:
    """-log softmax of each query's own document among all others that are wrong for it.

    InfoNCE (van den Oord et al. 2018) with negatives of the batch. Another document that is right
    for the query, or the same one again, is no negative: it is left out.

    Args:
        scores: of `similarity`.
        own: the place of each query's document.
        documents: the number of each document, the same for the same text.
        right: the numbers of all documents that are right for a query, filled up with others.
    """
    is_right = jnp.any(documents[None, :, None] == right[:, None, :], axis=-1)
    is_own = jnp.arange(len(documents))[None] == own[:, None]
    return cross_entropy(jnp.where(is_right & ~is_own, NEVER, scores), own)
