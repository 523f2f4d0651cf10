"""The forward passes of student and teacher on one micro-batch, which a distillation compares."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Shaped

from model.blocks.segments import same_text
from model.output import ModelOutput
from model.tasks import LanguageModel
from train.objectives.layer_pairs import layer_pairs
from train.objectives.objective import DeviceBatch

AnswersOf = Literal["teacher", "untrained", "shuffled"]
Positions = Literal["attended", "masked"]
Hidden = Float[Array, "rows length hidden"]
Wider = Float[Array, "rows length teacher_hidden"]


class Forward:
    """The outputs of both models. The teacher reads the same masked text, without dropout.

    Args:
        batch: masked, of arrays [rows, ...].
        student: the model that learns.
        teacher: the model that it learns from.
        outputs: names of what both return beside their last hidden states, see `Backbone`.
        lift: brings the student's hidden states to the teacher's width.
        rngs: the student's dropout.
        theirs: what the teacher reads instead.
        known: the teacher's output, where it need not be computed: `last_hidden` is enough.
    """

    def __init__(
        self,
        batch: DeviceBatch,
        student: LanguageModel,
        teacher: LanguageModel,
        *,
        outputs: tuple[str, ...],
        lift: Callable[[Hidden], Hidden],
        rngs: nnx.Rngs | None,
        theirs: DeviceBatch | None = None,
        known: ModelOutput | None = None,
    ):
        self.batch = batch
        with jax.named_scope("student"):
            self.student: ModelOutput = student.backbone(
                batch["input_ids"], **borders(batch), outputs=outputs, rngs=rngs
            )
        theirs = theirs or batch
        with jax.named_scope("teacher"):
            self.teacher: ModelOutput = known or teacher.backbone(
                theirs["input_ids"], **borders(theirs), outputs=outputs
            )
        self.models = student, teacher
        self.lift = lift

    def pairs(self) -> Bool[Array, "rows length length"]:
        """The pairs of attended tokens of the same text."""
        there = attended(self.batch)
        both = there[:, :, None] & there[:, None, :]
        segments = self.batch.get("segments")
        return both if segments is None else both & same_text(segments)

    def texts(self) -> Int[Array, "rows length"]:
        """The number of each token's text, from 1 in every row, and 0 at padding."""
        segments = self.batch.get("segments")
        return attended(self.batch).astype(jnp.int32) if segments is None else segments

    def embeddings(self) -> tuple[Hidden, Hidden]:
        """The inputs of both models' first layers, the student's lifted."""
        ours, theirs = self.student.hidden_states, self.teacher.hidden_states
        assert ours is not None and theirs is not None
        return self.lift(ours[0]), theirs[0]

    def hidden(self, layers: str) -> list[tuple[Hidden, Hidden]]:
        """The hidden states after pairs of layers (see `layer_pairs`), the student's lifted."""
        return [(self.lift(a), b) for a, b in self.own_hidden(layers)]

    def own_hidden(self, layers: str) -> list[tuple[Hidden, Wider]]:
        """The same, each in its own width."""
        ours, theirs = self.student.hidden_states, self.teacher.hidden_states
        assert ours is not None
        if theirs is None:
            last = self.models[1].config.num_layers - 1
            pairs = layer_pairs(layers, len(ours) - 1, last + 1)
            assert all(b == last for _, b in pairs)
            return [(ours[1 + a], self.teacher.last_hidden) for a, _ in pairs]
        return self._pairs(layers, ours[1:], theirs[1:])

    def scores(self, layers: str) -> list[tuple[Array, Array]]:
        """The attention scores before softmax of pairs of layers, [rows, heads, length, length]."""
        return self._pairs(layers, self.student.scores, self.teacher.scores)

    def qkv(self, layers: str) -> list[tuple[tuple[Array, ...], tuple[Array, ...]]]:
        """The queries, keys and values of pairs of layers, each [rows, length, heads, features]."""
        return self._pairs(layers, self.student.qkv, self.teacher.qkv)

    def _pairs(self, layers: str, ours: Sequence | None, theirs: Sequence | None) -> list[Any]:
        assert ours is not None and theirs is not None
        return [(ours[a], theirs[b]) for a, b in layer_pairs(layers, len(ours), len(theirs))]


def of_other_rows(batch: DeviceBatch, group_rows: int) -> DeviceBatch:
    """The text of a batch, each row that of the next one in its group of `group_rows`."""

    def moved(array: Array) -> Array:
        grouped = array.reshape(-1, group_rows, *array.shape[1:])
        return jnp.roll(grouped, -1, axis=1).reshape(array.shape)

    return {n: moved(array) for n, array in batch.items() if n in ("input_ids", *borders(batch))}


def borders(batch: DeviceBatch) -> dict[str, Any]:
    """The array that says where the texts of a batch end, by the name of a model's argument.

    There is none where every row is one text of full length: attention then needs no mask.
    """
    return {name: batch[name] for name in ("attention_mask", "segments") if name in batch}


def attended(batch: DeviceBatch) -> Bool[Array, "*micro rows length"]:
    """True on tokens, false on padding."""
    if "segments" in batch:
        return batch["segments"] > 0
    mask = batch.get("attention_mask")
    return jnp.ones_like(batch["input_ids"], bool) if mask is None else mask


def counted(batch: DeviceBatch, positions: Positions) -> Bool[Array, "..."]:
    """Mask of the places that a mean is taken over: [rows, length], or [groups, k] if `masked`."""
    return attended(batch) if positions == "attended" else batch["valid"]


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
