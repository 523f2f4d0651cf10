"""Losses of logits, per position and unreduced: every head is trained with them.

All compute in float32 whatever comes in: bfloat16 logits lose more in a softmax over 30,000 tokens
than the losses differ by.
"""

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
    p, _, d, gap = _compare(student, teacher, temperature)
    # With q - p, which sums to zero, every term is positive: p (d - 1 + exp(-d)), of which d^2/2
    # is left where d is small.
    series = jnp.ones_like(d)
    for n in range(9, 2, -1):
        series = 1 - d * (1 / n) * series
    terms = jnp.where(jnp.abs(d) < 0.5, p * (d * d / 2 * series), p * d + gap)
    return temperature**2 * jnp.sum(terms, axis=-1)


@_kl.defjvp
def _kl_tangent(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    student, teacher, temperature = primals
    kl = _kl(*primals)
    p, q, d, gap = _compare(*primals)
    # Both sum to zero. To subtract what rounding leaves of the sum mends the likeliest entry, which
    # at a low temperature is the difference of two numbers close to 1.
    by_student = temperature * (gap - q * jnp.sum(gap, axis=-1, keepdims=True))
    by_teacher = temperature * p * (d - jnp.sum(p * d, axis=-1, keepdims=True))
    scale = jnp.sum(by_student * student + by_teacher * teacher, axis=-1)
    moved = jnp.sum(by_student * tangents[0] + by_teacher * tangents[1], axis=-1)
    return kl, moved + (2 * kl - scale) / temperature * tangents[2]


def _compare(
    student: Array, teacher: Array, temperature: Array
) -> tuple[Array, Array, Array, Array]:
    """Distributions p of the teacher and q of the student, log p - log q, and q - p."""
    d = _log_ratio(student, teacher, temperature)
    p, q = (jax.nn.softmax(logits / temperature) for logits in (teacher, student))
    # From d, so that its error cancels in the sum; exp(-d) must not overflow.
    safe = jnp.abs(d) < 30.0
    return p, q, d, jnp.where(safe, p * jnp.expm1(jnp.where(safe, -d, 0)), q - p)


@jax.custom_jvp
def _log_ratio(student: Array, teacher: Array, temperature: Array) -> Array:
    """The logarithm of p / q. Logits are subtracted first: log p would hide small differences."""
    difference = (teacher - student) / temperature
    difference = difference - jnp.min(difference, axis=-1, keepdims=True)
    scaled = teacher / temperature
    # From -1 to 0: its logarithm below makes q sum to 1.
    short = jnp.sum(jax.nn.softmax(scaled) * jnp.expm1(-difference), axis=-1, keepdims=True)
    far = jax.nn.log_softmax(scaled) - jax.nn.log_softmax(student / temperature)
    return jnp.where(short > -0.9, difference + jnp.log1p(short), far)


@_log_ratio.defjvp
def _log_ratio_tangent(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
    def of_log_softmax(logits: Array, moved: Array) -> Array:
        scaled = (moved - logits * (tangents[2] / temperature)) / temperature
        mean = jnp.sum(jax.nn.softmax(logits / temperature) * scaled, axis=-1, keepdims=True)
        return scaled - mean

    student, teacher, temperature = primals
    moved = of_log_softmax(teacher, tangents[1]) - of_log_softmax(student, tangents[0])
    return _log_ratio(*primals), moved
