"""What fine-tuning minimises, for each kind of task, alone or with a fine-tuned teacher."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from model.output import ModelOutput
from model.tasks import read_batch
from tasks.catalogue import Kind
from train.objectives.losses import cross_entropy, distillation_kl, masked_sum, weighted_sum
from train.objectives.objective import Batch, LossInputs, Mean, Metrics, Numbers

NEVER = -1e9  # a logit whose probability is 0 in float32, and no NaN at any temperature


@dataclass(frozen=True)
class TaskLoss:
    """How much the labels count and how much the teacher, where there is one.

    The defaults are those of the original's second step (`run_squad_w_distillation.py`).
    """

    task: float = 0.5
    """Of the loss on the labels; 1 where there is no teacher."""
    soft: float = 0.5
    """Of T^2 KL(teacher || student); squared difference where a value is learned."""
    temperature: float = 2.0
    """Softens teacher and student alike in the KL."""


class TaskObjective:
    """Cross-entropy of classes, tags and spans, squared error of values; and the same softly.

    Batches are those of `BucketBatches`. With a teacher they hold what it said as `teacher`
    ([rows, labels] or, for tags, [rows, length, labels]), or `teacher_start` and `teacher_end`.
    """

    mean: Mean = "tokens"

    def __init__(self, model: nnx.GraphDef, kind: Kind, loss: TaskLoss | None = None):
        self.model = model
        self.kind = kind
        self.temperature = 1.0 if loss is None else loss.temperature
        weights = {"task": 1.0} if loss is None else {"task": loss.task, "soft": loss.soft}
        self.weights = {name: weight for name, weight in weights.items() if weight}

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return {name: {"weight": weight} for name, weight in self.weights.items()}

    def prepare(self, constants: Any, batch: Batch, key: PRNGKeyArray) -> Batch:
        return batch  # nothing is drawn: the words are read as they are

    def where(self, batch: Batch) -> dict[str, Bool[Array, "..."]]:
        return dict.fromkeys(self.weights, self._where(batch))

    def loss(self, inputs: LossInputs) -> tuple[Float[Array, ""], Metrics]:
        batch = inputs.batch
        output = read_batch(nnx.merge(self.model, inputs.params), batch, rngs=inputs.rngs)
        losses = {"task": self._task_loss, "soft": self._soft_loss}
        where = self._where(batch)
        sums = {name: masked_sum(losses[name](output, batch), where)[0] for name in self.weights}
        return weighted_sum(sums, inputs.shares), sums

    def _where(self, batch: Batch) -> Bool[Array, "..."]:
        """What a mean runs over: the rows or, for tags, the first pieces of words."""
        if self.kind == "tags":
            return (batch["tags"] >= 0) & batch["valid"][..., None]
        return batch["valid"]

    def _task_loss(self, output: ModelOutput, batch: Batch) -> Float[Array, "..."]:
        if self.kind == "answers":
            start, end = span_logits(output, batch["attention_mask"])
            return (cross_entropy(start, batch["start"]) + cross_entropy(end, batch["end"])) / 2
        assert output.logits is not None
        if self.kind == "regression":
            return jnp.square(output.logits[..., 0] - batch["label"])
        if self.kind == "tags":
            return cross_entropy(output.logits, jnp.maximum(batch["tags"], 0))
        return cross_entropy(output.logits, batch["label"])

    def _soft_loss(self, output: ModelOutput, batch: Batch) -> Float[Array, "..."]:
        if self.kind == "answers":
            # Where an answer may start, or [CLS] for none; the original compares pads too.
            allowed = batch["context"].at[:, 0].set(True)
            student = span_logits(output, allowed)
            teacher = (
                jnp.where(allowed, batch[f"teacher_{side}"], NEVER) for side in ("start", "end")
            )
            start, end = (
                distillation_kl(ours, theirs, self.temperature)
                for ours, theirs in zip(student, teacher, strict=True)
            )
            return (start + end) / 2
        assert output.logits is not None
        if self.kind == "regression":
            return jnp.square(output.logits[..., 0] - batch["teacher"][..., 0])
        return distillation_kl(output.logits, batch["teacher"], self.temperature)


def span_logits(
    output: ModelOutput, allowed: Bool[Array, "rows length"]
) -> tuple[Float[Array, "rows length"], Float[Array, "rows length"]]:
    """Logits of where an answer starts and ends, such that it does so at allowed tokens only."""
    assert output.start_logits is not None and output.end_logits is not None
    start, end = (
        jnp.where(allowed, logits, NEVER) for logits in (output.start_logits, output.end_logits)
    )
    return start, end
