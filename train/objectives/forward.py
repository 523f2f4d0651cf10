"""What the terms of a distillation may look at: teacher and student on one micro-batch."""

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Shaped

from model.output import ModelOutput
from model.tasks import MaskedLM
from train.objectives.objective import Batch

Positions = Literal["attended", "masked"]
Hidden = Float[Array, "rows length hidden"]


class View:
    """Both models' outputs. The teacher reads the same masked text, without dropout.

    Args:
        batch: masked, of arrays [rows, ...].
        student: what learns.
        teacher: what it learns from.
        outputs: what both return beside their last hidden states.
        lift: brings the student's hidden states to the teacher's width.
        rngs: the student's dropout.
    """

    def __init__(
        self,
        batch: Batch,
        student: MaskedLM,
        teacher: MaskedLM,
        *,
        outputs: tuple[str, ...],
        lift: Callable[[Hidden], Hidden],
        rngs: nnx.Rngs | None,
    ):
        self.batch = batch
        self.attended: Bool[Array, "rows length"] = batch["attention_mask"]
        inputs = batch["input_ids"], self.attended
        with jax.named_scope("student"):
            self.student: ModelOutput = student.backbone(*inputs, outputs=outputs, rngs=rngs)
        with jax.named_scope("teacher"):
            self.teacher: ModelOutput = teacher.backbone(*inputs, outputs=outputs)
        self.models = student, teacher
        self.lift = lift

    def hidden(self, student: int, teacher: int) -> tuple[Hidden, Hidden]:
        """What comes out of a layer of the student, lifted, and of one of the teacher.

        Layers are counted from 0; -1 is what enters the first.
        """
        ours, theirs = self.student.hidden_states, self.teacher.hidden_states
        assert ours is not None and theirs is not None
        return self.lift(ours[student + 1]), theirs[teacher + 1]


def where(batch: Batch, positions: Positions) -> Bool[Array, "..."]:
    """At which positions a mean is taken: [rows, length], or [groups, k] for the predicted ones."""
    return batch["attention_mask"] if positions == "attended" else batch["valid"]


def gather_positions(
    values: Float[Array, "rows length features"], positions: Int[Array, "groups k"]
) -> Float[Array, "groups k features"]:
    """The features at positions that count through a group of rows, as `mask_tokens` gives them."""
    grouped = values.reshape(positions.shape[0], -1, values.shape[-1])
    return jnp.take_along_axis(grouped, positions[..., None], axis=1)


def scatter_positions(
    values: Shaped[Array, "groups k"], positions: Int[Array, "groups k"], shape: tuple[int, int]
) -> Shaped[Array, "rows length"]:
    """The opposite, for an array of `shape`: 0 or False where no position is."""
    nothing = jnp.zeros((positions.shape[0], math.prod(shape) // positions.shape[0]), values.dtype)
    put = jax.vmap(lambda row, at, what: row.at[at].set(what, unique_indices=True))
    return put(nothing, positions, values).reshape(shape)
