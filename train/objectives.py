"""What pretraining and distillation minimise, on one micro-batch of masked text."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from data.masking import MaskingConfig, mask_tokens
from train.lifted import LiftedStudent, student_of
from train.losses import cross_entropy, masked_sum
from train.numbers import value_at
from train.optimizer import Params
from train.step import Batch, Mean, Metrics, Numbers
from train.terms import Term, numbers_of
from train.view import View, gather_positions


class MaskedLMObjective:
    """Cross-entropy at the predicted tokens: pretraining (Devlin et al. 2019, section 3.1)."""

    mean: Mean = "tokens"
    vocabulary = True
    """Whether the masked-LM head learns."""

    def __init__(self, model: nnx.GraphDef, masking: MaskingConfig, mask_id: int):
        self.model = model
        self.masking = masking
        self.mask_id = mask_id

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return {"mlm": {"weight": 1.0}}

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

    def where(self, batch: Batch) -> dict[str, Bool[Array, "..."]]:
        return {"mlm": batch["valid"]}

    def sums(
        self, params: Params, constants: Any, batch: Batch, rngs: nnx.Rngs | None, numbers: Numbers
    ) -> Metrics:
        model = nnx.merge(self.model, params)
        output = model.backbone(batch["input_ids"], batch["attention_mask"], rngs=rngs)
        # Only the predicted tokens meet the vocabulary: 15 % of the head's work.
        logits = model.predict_tokens(gather_positions(output.last_hidden, batch["positions"]))
        return {"mlm": masked_sum(cross_entropy(logits, batch["labels"]), batch["valid"])[0]}


class DistillationObjective(MaskedLMObjective):
    """The weighted sum of terms that compare a student with its teacher.

    Args:
        student: the structure of a student, or of a `LiftedStudent`.
        teacher: the structure of its teacher.
        masking: how the text is masked that both read.
        mask_id: the id of [MASK].
        terms: by name.
        mean: see `DistillationLoss.mean`.
        numbers: the ends of the numbers of all terms, by default those that the terms name.
    """

    def __init__(
        self,
        student: nnx.GraphDef,
        teacher: nnx.GraphDef,
        masking: MaskingConfig,
        mask_id: int,
        terms: Mapping[str, Term],
        *,
        mean: Mean = "tokens",
        numbers: Mapping[str, Any] | None = None,
    ):
        super().__init__(student, masking, mask_id)
        self.teacher = teacher
        self.terms = terms
        self.mean: Mean = mean
        self.vocabulary = any(term.vocabulary for term in terms.values())
        self.ends = {name: numbers_of(term) for name, term in terms.items()}
        if numbers is not None:
            self.ends = numbers
        self.outputs = tuple(dict.fromkeys(o for term in terms.values() for o in term.outputs))
        self.everywhere = any(
            getattr(term, "positions", None) == "attended" for term in terms.values()
        )

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return {
            term: {name: value_at(ends, progress) for name, ends in numbers.items()}
            for term, numbers in self.ends.items()
        }

    def where(self, batch: Batch) -> dict[str, Bool[Array, "..."]]:
        return {name: term.where(batch) for name, term in self.terms.items()}

    def sums(
        self, params: Params, constants: Any, batch: Batch, rngs: nnx.Rngs | None, numbers: Numbers
    ) -> Metrics:
        trained = nnx.merge(self.model, params)
        view = View(
            batch,
            student_of(trained),
            nnx.merge(self.teacher, constants["teacher"]),
            outputs=self.outputs,
            everywhere=self.everywhere,
            lift=trained.lift if isinstance(trained, LiftedStudent) else lambda hidden: hidden,
            rngs=rngs,
        )
        return {
            name: masked_sum(term.values(view, numbers[name]), term.where(batch))[0]
            for name, term in self.terms.items()
        }
