"""The losses of distillation, per position and unreduced, and the one way to reduce them.

Those of the triple loss are Sanh et al. 2019 (1910.01108), section 2, with the details of the
original code (`distiller.py`); the others name their paper. All compute in float32 whatever comes
in: bfloat16 logits lose more in a softmax over 30,000 tokens than the losses differ by. The caller
chooses with `where` which positions a mean is taken over.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int

from model.blocks.products import einsum
from model.losses import cross_entropy as cross_entropy
from model.losses import distillation_kl as distillation_kl


def logit_mse(
    student_logits: Float[Array, "*batch vocab"], teacher_logits: Float[Array, "*batch vocab"]
) -> Float32[Array, "*batch"]:
    """Squared difference of the raw logits, *summed* over the vocabulary as in the original."""
    difference = student_logits.astype(jnp.float32) - teacher_logits.astype(jnp.float32)
    return jnp.sum(jnp.square(difference), axis=-1)


def cosine_distance(
    a: Float[Array, "*batch hidden"], b: Float[Array, "*batch hidden"]
) -> Float32[Array, "*batch"]:
    """1 - cos(a, b), with eps 1e-12 on the squared norms as in PyTorch's CosineEmbeddingLoss."""
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
    norms = jnp.sqrt((jnp.sum(a * a, axis=-1) + 1e-12) * (jnp.sum(b * b, axis=-1) + 1e-12))
    return 1 - jnp.sum(a * b, axis=-1) / norms


def squared_error(
    a: Float[Array, "*batch hidden"], b: Float[Array, "*batch hidden"]
) -> Float32[Array, "*batch"]:
    """The mean over the width of (a - b)^2 (Jiao et al. 2020, TinyBERT, equations 8 and 9)."""
    return jnp.mean(jnp.square(a.astype(jnp.float32) - b.astype(jnp.float32)), axis=-1)


def normalised_squared_error(
    a: Float[Array, "*batch hidden"], b: Float[Array, "*batch hidden"]
) -> Float32[Array, "*batch"]:
    """|a / |a| - b / |b||^2, summed over the width (Sun et al. 2019, Patient KD, section 3.2).

    Twice the cosine distance: normalising leaves only the direction.
    """
    return 2 * cosine_distance(a, b)


def score_error(
    student_scores: Float[Array, "rows heads length length"],
    teacher_scores: Float[Array, "rows heads length length"],
    pairs: Bool[Array, "rows length length"],
) -> Float32[Array, "rows length"]:
    """Squared error of attention scores before softmax (Jiao et al. 2020, TinyBERT, equation 7).

    For every query the mean over heads and those keys with which it is one of the `pairs`; other
    scores are set to zero in both models, as TinyBERT's code does with those to or from padding.
    """
    difference = student_scores.astype(jnp.float32) - teacher_scores.astype(jnp.float32)
    # Before the square: after it, a NaN at padding would still be in the gradient, as 0 * NaN.
    total = jnp.sum(jnp.square(jnp.where(pairs[:, None], difference, 0)), axis=(1, 3))
    count = difference.shape[1] * jnp.sum(pairs, axis=-1)
    return total / jnp.maximum(count, 1).astype(jnp.float32)


def relation_kl(
    student: Float[Array, "rows length student_width"],
    teacher: Float[Array, "rows length teacher_width"],
    pairs: Bool[Array, "rows length length"],
    heads: int,
) -> Float32[Array, "rows length"]:
    """KL(teacher || student) of relations between tokens; for every token the mean over the heads.

    The relation of vectors x is softmax(x x^T / sqrt(d)) over all tokens with which one is in the
    `pairs`, which go both ways and are also of each token with itself, in `heads` heads of d
    numbers each (Wang et al. 2021, MiniLMv2, section 3.1). Its shape does not depend on the width
    and the number of attention heads.
    """
    keys = pairs[:, None]
    attended = jnp.diagonal(pairs, axis1=1, axis2=2)

    def log_relation(x: Float[Array, "rows length width"]) -> Float[Array, "rows heads q k"]:
        # A NaN at padding would reach the gradient of its factor, as 0 * NaN.
        x = jnp.where(attended[..., None], x, 0)
        split = x.reshape(*x.shape[:2], heads, -1)
        scores = einsum("bqnd,bknd->bnqk", split, split, jnp.float32)
        scores = scores * split.shape[-1] ** -0.5
        return jax.nn.log_softmax(jnp.where(keys, scores, jnp.finfo(jnp.float32).min))

    log_p, log_q = log_relation(teacher), log_relation(student)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    # q - p sums to zero, but makes every term positive, and the rounding errors of the two
    # normalisers cancel. Padding may hold -inf - -inf.
    terms = jnp.where(keys, p * (jnp.where(keys, log_p - log_q, 0)) + (q - p), 0)
    return jnp.mean(jnp.sum(terms, axis=-1), axis=1)


def jensen_shannon(
    student_logits: Float[Array, "*batch vocab"],
    teacher_logits: Float[Array, "*batch vocab"],
    temperature: float | Float[Array, ""],
) -> Float32[Array, "*batch"]:
    """T^2 JS of the softened distributions: the mean KL of both to their mean (Lin 1991, sec. IV).

    At most T^2 log 2.
    """
    log_q, log_p = (
        jax.nn.log_softmax(logits.astype(jnp.float32) / temperature)
        for logits in (student_logits, teacher_logits)
    )
    # With r = log q - log p the mean over p is (1 + exp(r)) / 2; beyond 80 nothing changes.
    r = jnp.clip(log_q - log_p, -80, 80)
    terms = jnp.exp(log_p) * jnp.log1p(jnp.expm1(r) / 2)
    terms += jnp.exp(log_q) * jnp.log1p(jnp.expm1(-r) / 2)
    return -(temperature**2) / 2 * jnp.sum(terms, axis=-1)


def cka_distance(
    a: Float[Array, "rows length width"],
    b: Float[Array, "rows length other_width"],
    pairs: Bool[Array, "rows length length"],
) -> Float32[Array, "rows length"]:
    """1 - linear CKA of the tokens of each text, the same at all of them.

    CKA (Kornblith et al. 2019, equation 3) is the cosine of the two matrices of inner products of
    centred vectors: neither a rotation nor a scale changes it. `pairs` are of the same text.
    """

    def kernel(x: Float[Array, "rows length width"]) -> Float[Array, "rows length length"]:
        x = _centred(x, pairs)
        return jnp.where(pairs, einsum("bqd,bkd->bqk", x, x, jnp.float32), 0)

    ours, theirs = kernel(a), kernel(b)

    def over_text(products: Float[Array, "rows length length"]) -> Float[Array, "rows length"]:
        return _sums(jnp.sum(products, axis=-1)[..., None], pairs)[..., 0]

    own = (over_text(ours * ours) + 1e-12) * (over_text(theirs * theirs) + 1e-12)
    return 1 - over_text(ours * theirs) / jnp.sqrt(own)


def procrustes_distance(
    a: Float[Array, "rows length width"],
    b: Float[Array, "rows length other_width"],
    texts: Int[Array, "rows length"],
) -> Float32[Array, "rows length"]:
    """Squared distance of the tokens of each text after the best rotation, the same at all of them.

    Of centred vectors, all of a text scaled to norm 1: 2 - 2 |A^T B|, with the sum of singular
    values (Ding et al. 2021, section 2; Schoenemann 1966); from 0 to 2. `texts` are their numbers
    from 1, 0 at padding.
    """
    pairs = (texts[:, :, None] == texts[:, None, :]) & (texts > 0)[:, None]

    def unit(x: Float[Array, "rows length width"]) -> Float[Array, "rows length width"]:
        x = _centred(x, pairs)
        squares = _sums(jnp.sum(x * x, axis=-1, keepdims=True), pairs)
        return x * jax.lax.rsqrt(squares + 1e-12)

    a, b = unit(a), unit(b)
    # At the best rotation its own change changes nothing, so that it needs no gradient.
    fixed, other = jax.lax.stop_gradient((a, b))

    def rotate(text: Int[Array, ""], rotated: Array) -> Array:
        there = (texts == text)[..., None]
        cross = einsum("bld,ble->bde", jnp.where(there, other, 0), fixed, jnp.float32)
        left, _, right = jnp.linalg.svd(cross, full_matrices=False)
        rotation = einsum("bdm,bme->bde", left, right, jnp.float32)
        return jnp.where(there, einsum("bld,bde->ble", other, rotation, jnp.float32), rotated)

    rotated = jax.lax.fori_loop(1, jnp.max(texts) + 1, rotate, jnp.zeros_like(fixed))
    # The squares of a difference, not 2 minus nearly 2: a small distance so keeps its digits.
    distance = jnp.sum(jnp.square(a - rotated), axis=-1, keepdims=True)
    if other.shape[-1] > fixed.shape[-1]:  # what no rotation brings into fewer dimensions
        distance += jnp.sum(jnp.square(other), axis=-1, keepdims=True)
        distance -= jnp.sum(jnp.square(rotated), axis=-1, keepdims=True)
    return _sums(distance, pairs)[..., 0]


def _sums(
    values: Float[Array, "rows length features"], pairs: Bool[Array, "rows length length"]
) -> Float32[Array, "rows length features"]:
    """The sum over all tokens of the same text, at each of them."""
    return einsum("bqk,bkf->bqf", pairs.astype(jnp.float32), values, jnp.float32)


def _centred(
    x: Float[Array, "rows length width"], pairs: Bool[Array, "rows length length"]
) -> Float32[Array, "rows length width"]:
    """Vectors minus the mean of their text; zero at padding, where there may be a NaN."""
    attended = jnp.diagonal(pairs, axis1=1, axis2=2)[..., None]
    x = jnp.where(attended, x.astype(jnp.float32), 0)
    count = jnp.maximum(jnp.sum(pairs, axis=-1, dtype=jnp.float32), 1)
    return x - _sums(x, pairs) / count[..., None]


def masked_sum(
    values: Float[Array, "*batch"], where: Bool[Array, "*batch"]
) -> tuple[Float32[Array, ""], Float32[Array, ""]]:
    """The sum of `values` where `where` is true, and the number of them.

    Sums and counts of micro-batches and devices may be added; the mean is taken once, at the end.
    A value that is left out never reaches the sum or the gradient, not even as NaN.
    """
    total = jnp.sum(jnp.where(where, values.astype(jnp.float32), 0))
    return total, jnp.sum(where, dtype=jnp.float32)


def weighted_sum(
    values: Mapping[str, Float[Array, ""]], weights: Mapping[str, Any]
) -> Float32[Array, ""]:
    """The sum of `values`, each times its weight."""
    return sum((weights[name] * value for name, value in values.items()), start=jnp.zeros(()))
