"""Objective of fine-tuning: a kind of task, alone or with a fine-tuned teacher."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tasks.kind import Kind
from tasks.windows import Windows
from train.objectives.losses import masked_sum, weighted_sum
from train.objectives.objective import DeviceBatch, LossInputs, Mean, Numbers, Scalars
from train.objectives.schedule import TEMPERATURES, WEIGHTS


@dataclass(frozen=True)
class TaskLoss:
    """The weights of the labels and of the teacher, where there is one.

    The defaults are those of the original's second step (`run_squad_w_distillation.py`).
    """

    task: Annotated[float, WEIGHTS] = 0.5
    """Of the loss on the labels; 1 where there is no teacher."""
    soft: Annotated[float, WEIGHTS] = 0.5
    """Of T^2 KL(teacher || student); squared difference where a value is learned."""
    temperature: Annotated[float, TEMPERATURES] = 2.0
    """Softens teacher and student alike in the KL."""
    form: Literal["kl", "margin", "vectors", "tokens", "texts"] | None = None
    """For embeddings: KL of a query's scores with all documents of the batch (`kl`, the default),
    squared error of the margins between its document and its negatives (`margin`), which a
    cross-encoder can teach too, or the cosine distance of vectors, which must be equally wide. For
    translations and summaries: KL at every token (`tokens`, the default), or the `texts` that the
    teacher writes, once, instead of the labels (Kim and Rush 2016: word level, sequence level)."""


class TaskObjective:
    """The loss of a kind of task on the labels and, with a `TaskLoss`, against a teacher.

    Batches are those of `BucketBatches`. With a teacher they hold what was fetched of it, see
    `Kind.soft_loss`. The loss on the labels may have `class_weights` and `smoothing`, where the
    kind has a `class_target`.
    """

    mean: Mean = "tokens"

    def __init__(
        self,
        model: nnx.GraphDef,
        kind: Kind,
        loss: TaskLoss | None = None,
        *,
        class_weights: Sequence[Any] = (),
        smoothing: float = 0.0,
    ):
        self.model = model
        self.kind = kind
        self.class_weights = class_weights
        self.smoothing = smoothing
        self.temperature = 1.0 if loss is None else loss.temperature
        weights = {"task": 1.0} if loss is None else {"task": loss.task, "soft": loss.soft}
        self.weights = {name: weight for name, weight in weights.items() if weight}

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return {name: {"weight": weight} for name, weight in self.weights.items()}

    def prepare(self, constants: Any, batch: DeviceBatch, key: PRNGKeyArray) -> DeviceBatch:
        return batch  # nothing is drawn: the words are read as they are

    def where(self, batch: DeviceBatch) -> dict[str, Bool[Array, "..."]]:
        return dict.fromkeys(self.weights, self.kind.where(batch))

    def loss(self, inputs: LossInputs) -> tuple[Float[Array, ""], Scalars]:
        kind, batch = self.kind, inputs.batch
        output = kind.forward(nnx.merge(self.model, inputs.params), batch, inputs.rngs)
        if inputs.axis is not None:
            batch = {**batch, **_of_all_devices({**batch, **output}, kind.compares, inputs.axis)}
        losses = {
            "task": lambda: self.on_labels(output, batch),
            "soft": lambda: kind.soft_loss(output, batch, self.temperature),
        }
        where = kind.where(batch)
        sums = {name: masked_sum(losses[name](), where)[0] for name in self.weights}
        return weighted_sum(sums, inputs.shares), sums

    def on_labels(self, output: DeviceBatch, batch: DeviceBatch) -> Float[Array, "..."]:
        """The loss on the labels at every place."""
        if not self.class_weights and not self.smoothing:
            return self.kind.loss(output, batch)
        weights = jnp.asarray(self.class_weights or 1.0, jnp.float32)
        return self.kind.class_loss(output, batch, weights, self.smoothing)


def _of_all_devices(columns: DeviceBatch, names: Sequence[str], axis: str) -> DeviceBatch:
    """The rows of all devices, as `Kind.compares` has it; gradients go back to each."""
    there = [name for name in names if name in columns]
    if not there:
        return {}
    rows = len(columns[there[0]])
    place = jax.lax.axis_index(axis) * rows + jnp.arange(rows)
    gathered = {
        f"all_{name}": jax.lax.all_gather(columns[name], axis, tiled=True) for name in there
    }
    return {**gathered, "place": place}


def balanced_weights(kind: Kind, windows: Windows, outputs: int) -> list[Any]:
    """The weight of each class with which all have the same sum, n / (classes there * count).

    As scikit-learn's `class_weight="balanced"`; a class that is not there has the weight 0. The
    classes are those of `Kind.class_counts`.
    """
    target = kind.class_target or ""
    found = windows.values.get(target)
    if found is None:
        found = np.concatenate(windows.tokens[target][0])
    counts = kind.class_counts(found, outputs)
    total, there = counts.sum(-1, keepdims=True), np.count_nonzero(counts, axis=-1, keepdims=True)
    return np.where(counts > 0, total / (there * np.maximum(counts, 1)), 0.0).tolist()
