"""What pretraining and distillation minimise, on one micro-batch of masked text."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from data.masking import MaskingConfig, mask_tokens
from train.losses import cosine_distance, cross_entropy, distillation_kl, logit_mse, masked_sum
from train.optimizer import Params
from train.step import Batch, Metrics

Positions = Literal["attended", "masked"]


@dataclass(frozen=True)
class DistillationLoss:
    """The weights of the triple loss (Sanh et al. 2019, section 3); 5/2/1 as in the code's README.

    A term of weight 0 is not computed.
    """

    ce: float = 5.0
    """T^2 KL(teacher || student) of the softened token distributions."""
    mlm: float = 2.0
    """Masked-LM cross-entropy at the predicted tokens."""
    cos: float = 1.0
    """1 - cosine of the last hidden states, over all attended tokens."""
    mse: float = 0.0
    """Squared difference of the logits, summed over the vocabulary: very large numbers."""
    temperature: float = 2.0
    """Softens teacher and student alike in the KL."""
    positions: Positions = "attended"
    """Where logits are compared: at all attended tokens, or at the predicted ones only."""

    def weights(self) -> dict[str, float]:
        """The terms that count, by name."""
        terms = {"ce": self.ce, "mlm": self.mlm, "cos": self.cos, "mse": self.mse}
        return {name: weight for name, weight in terms.items() if weight}


def gather_positions(
    values: Float[Array, "rows length features"], positions: Int[Array, "groups k"]
) -> Float[Array, "groups k features"]:
    """The features at positions that count through a group of rows, as `mask_tokens` gives them."""
    grouped = values.reshape(positions.shape[0], -1, values.shape[-1])
    return jnp.take_along_axis(grouped, positions[..., None], axis=1)


class MaskedLMObjective:
    """Cross-entropy at the predicted tokens: pretraining (Devlin et al. 2019, section 3.1)."""

    def __init__(self, model: nnx.GraphDef, masking: MaskingConfig, mask_id: int):
        self.model = model
        self.masking = masking
        self.mask_id = mask_id
        self.weights = {"mlm": 1.0}

    def prepare(self, constants: Any, batch: Batch, key: PRNGKeyArray) -> Batch:
        def mask(input_ids, attention_mask, row):
            return mask_tokens(
                key,
                input_ids,
                attention_mask,
                row,
                constants["log_weights"],
                config=self.masking,
                mask_id=self.mask_id,
            )

        masked = jax.vmap(mask)(batch["input_ids"], batch["attention_mask"], batch["row"])
        return {"attention_mask": batch["attention_mask"], **masked._asdict()}

    def counts(self, batch: Batch) -> Metrics:
        return {"mlm": jnp.sum(batch["valid"], dtype=jnp.float32)}

    def sums(self, params: Params, constants: Any, batch: Batch, rngs: nnx.Rngs) -> Metrics:
        model = nnx.merge(self.model, params)
        output = model.backbone(batch["input_ids"], batch["attention_mask"], rngs=rngs)
        # Only the predicted tokens meet the vocabulary: 15 % of the head's work.
        logits = model.predict_tokens(gather_positions(output.last_hidden, batch["positions"]))
        return {"mlm": masked_sum(cross_entropy(logits, batch["labels"]), batch["valid"])[0]}


class DistillationObjective(MaskedLMObjective):
    """The triple loss. The teacher reads the same masked text, without dropout."""

    def __init__(
        self,
        student: nnx.GraphDef,
        teacher: nnx.GraphDef,
        masking: MaskingConfig,
        mask_id: int,
        loss: DistillationLoss,
    ):
        super().__init__(student, masking, mask_id)
        self.teacher = teacher
        self.loss = loss
        self.weights = loss.weights()

    def counts(self, batch: Batch) -> Metrics:
        attended = jnp.sum(batch["attention_mask"], dtype=jnp.float32)
        masked = jnp.sum(batch["valid"], dtype=jnp.float32)
        logits = attended if self.loss.positions == "attended" else masked
        of = {"ce": logits, "mlm": masked, "cos": attended, "mse": logits}
        return {name: of[name] for name in self.weights}

    def sums(self, params: Params, constants: Any, batch: Batch, rngs: nnx.Rngs) -> Metrics:
        student = nnx.merge(self.model, params)
        teacher = nnx.merge(self.teacher, constants["teacher"])
        attended, valid = batch["attention_mask"], batch["valid"]
        inputs = batch["input_ids"], attended
        student_hidden = student.backbone(*inputs, rngs=rngs).last_hidden
        teacher_hidden = teacher.backbone(*inputs).last_hidden

        compares_logits = "ce" in self.weights or "mse" in self.weights
        if compares_logits and self.loss.positions == "attended":
            where = attended
            student_logits = student.predict_tokens(student_hidden)
            teacher_logits = teacher.predict_tokens(teacher_hidden)
            masked_logits = gather_positions(student_logits, batch["positions"])
        else:
            where = valid
            masked_logits = student_logits = student.predict_tokens(
                gather_positions(student_hidden, batch["positions"])
            )
            teacher_logits = teacher.predict_tokens(
                gather_positions(teacher_hidden, batch["positions"])
            )

        terms = {
            "ce": lambda: masked_sum(
                distillation_kl(student_logits, teacher_logits, self.loss.temperature), where
            ),
            "mlm": lambda: masked_sum(cross_entropy(masked_logits, batch["labels"]), valid),
            "cos": lambda: masked_sum(cosine_distance(student_hidden, teacher_hidden), attended),
            "mse": lambda: masked_sum(logit_mse(student_logits, teacher_logits), where),
        }
        return {name: terms[name]()[0] for name in self.weights}
