"""Losses of logits, per position and unreduced: every head is trained with them.

All compute in float32 whatever comes in: bfloat16 logits lose more in a softmax over 30,000 tokens
than the losses differ by.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int


def cross_entropy(
    logits: Float[Array, "*batch vocab"], labels: Int[Array, "*batch"]
) -> Float32[Array, "*batch"]:
    """-log softmax(logits)[label]: the masked-LM loss at a position, at temperature 1."""
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -jnp.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]


def weighted_cross_entropy(
    logits: Float[Array, "*batch classes"],
    labels: Int[Array, "*batch"],
    weights: Float[Array, "..."],
    smoothing: float,
) -> Float32[Array, "*batch"]:
    """Cross-entropy with a weight for each class and smoothed labels, as torch has it."""
    weights = jnp.broadcast_to(weights, logits.shape)
    terms = -weights * jax.nn.log_softmax(logits.astype(jnp.float32))
    of_label = jnp.take_along_axis(terms, labels[..., None], axis=-1)[..., 0]
    return (1 - smoothing) * of_label + smoothing * jnp.mean(terms, axis=-1)


def no_and_yes(logits: Float[Array, "*batch"]) -> Float[Array, "*batch 2"]:
    """Logits of two classes, no and yes, whose softmax is the sigmoid of these.

    So the losses of one class out of many are also those of labels, each of which is given or not:
    the cross-entropy is then called binary.
    """
    return jnp.stack([jnp.zeros_like(logits), logits], axis=-1)


def distillation_kl(
    student_logits: Float[Array, "*batch vocab"],
    teacher_logits: Float[Array, "*batch vocab"],
    temperature: float | Float[Array, ""],
) -> Float32[Array, "*batch"]:
    """T^2 KL(teacher || student), both softened by the temperature T.

    The factor T^2 keeps the gradient's size when T changes (Hinton et al. 2015, section 2). The
    paper writes the cross-entropy, the code uses this: they differ by the teacher's entropy, which
    has no gradient.

    Value and gradient keep their digits also where both distributions are nearly the same, as all
    are at a high temperature.
    """
    student, teacher = (x.astype(jnp.float32) for x in (student_logits, teacher_logits))
    return _kl(student, teacher, jnp.asarray(temperature, jnp.float32))


@jax.custom_jvp
def _kl(student: Array, teacher: Array, temperature: Array) -> Array:
    return temperature**2 * jnp.sum(_compare(student, teacher, temperature).terms, axis=-1)


@_kl.defjvp
def _kl_tangent(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    student, teacher, temperature = primals
    kl = _kl(*primals)
    p, q, d, gap, _ = _compare(*primals)
    # Both sum to zero. To subtract what rounding leaves of the sum mends the likeliest entry, which
    # at a low temperature is the difference of two numbers close to 1.
    by_student = temperature * (gap - q * jnp.sum(gap, axis=-1, keepdims=True))
    by_teacher = temperature * p * (d - jnp.sum(p * d, axis=-1, keepdims=True))
    scale = jnp.sum(by_student * student + by_teacher * teacher, axis=-1)
    moved = jnp.sum(by_student * tangents[0] + by_teacher * tangents[1], axis=-1)
    return kl, moved + (2 * kl - scale) / temperature * tangents[2]


class _Comparison(NamedTuple):
    """The softened distributions of the teacher and of the student, and how they differ."""

    p: Array
    q: Array
    log_ratio: Array
    """log p - log q."""
    gap: Array
    """q - p."""
    terms: Array
    """p log (p / q) + q - p: none is negative, and the sum is the KL divergence."""


def _compare(student: Array, teacher: Array, temperature: Array) -> _Comparison:
    """Both distributions, and all digits of their differences.

    Element by element but for the sums that normalise, so that XLA reads the logits few times.
    """

    def normalised(logits: Array) -> tuple[Array, Array, Array]:
        highest = jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
        exp = jnp.exp((logits - highest) / temperature)
        total = jnp.sum(exp, axis=-1, keepdims=True)
        return exp / total, highest, jnp.log(total)

    (p, p_highest, p_log), (q, q_highest, q_log) = map(normalised, (teacher, student))
    # Logits are subtracted first: log p would hide small differences.
    difference = ((teacher - student) - (p_highest - q_highest)) / temperature
    d = difference + (q_log - p_log)
    # The logarithms of the totals are rounded: q = p exp(-d) has to sum to 1 as p does.
    d = d + jax.lax.stop_gradient(jnp.log1p(jnp.sum(_gap(p, q, d)[0], axis=-1, keepdims=True)))
    return _Comparison(p, q, d, *_gap(p, q, d))


def _gap(p: Array, q: Array, d: Array) -> tuple[Array, Array]:
    """The differences q - p and p d + q - p, for q = p exp(-d)."""
    # exp(-d) = 1 - d + d^2 / 2 * series; where d is small, q - p would lose its digits.
    series = jnp.ones_like(d)
    for n in range(9, 2, -1):
        series = 1 - d * (1 / n) * series
    small, square = jnp.abs(d) < 0.5, d * d / 2 * series
    gap = jnp.where(small, p * (square - d), q - p)
    return gap, jnp.where(small, p * square, p * d + gap)
