"""Losses of logits, per position and unreduced: every head is trained with them.

Both compute in float32 whatever comes in: bfloat16 logits lose more in a softmax over 30,000 tokens
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


def distillation_kl(
    student_logits: Float[Array, "*batch vocab"],
    teacher_logits: Float[Array, "*batch vocab"],
    temperature: float | Float[Array, ""],
) -> Float32[Array, "*batch"]:
    """T^2 KL(teacher || student), both softened by the temperature T.

    The factor T^2 keeps the gradient's size when T changes (Hinton et al. 2015, section 2). The
    paper writes the cross-entropy, the code uses this: they differ by the teacher's entropy, which
    has no gradient.
    """
    log_p = jax.nn.log_softmax(teacher_logits.astype(jnp.float32) / temperature)
    log_q = jax.nn.log_softmax(student_logits.astype(jnp.float32) / temperature)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    # q - p sums to zero, but makes every term positive, and the rounding errors of the two
    # normalisers cancel: when student and teacher are close these are larger than the KL itself.
    return temperature**2 * jnp.sum(p * (log_p - log_q) + (q - p), axis=-1)
