"""The objectives of pretraining and distillation, on one micro-batch of masked text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from data.masking import MaskingConfig, mask_tokens, token_log_weights
from data.vocabulary import SpecialIds
from model.heads import Decoder
from train.objectives.forward import (
    AnswersOf,
    Forward,
    Hidden,
    attended,
    borders,
    counted,
    gather_positions,
    of_other_rows,
    scatter_positions,
)
from train.objectives.losses import masked_sum, weighted_sum
from train.objectives.objective import DeviceBatch, LossInputs, Mean, Numbers, Scalars
from train.objectives.projection import LiftedStudent, student_of
from train.objectives.schedule import value_at
from train.objectives.stored import stored_in, stored_masks_key, stored_output
from train.objectives.terms import ForwardTerm, LogitTerm, MaskedTokens, Term, numbers_of
from train.objectives.vocabulary import CHUNK, Given, vocabulary_loss


class MaskedLMObjective:
    """Cross-entropy at the predicted tokens: pretraining (Devlin et al. 2019, section 3.1)."""

    mean: Mean = "tokens"
    vocabulary = True
    """Whether the masked-LM head learns."""
    vocabulary_loss: Callable = staticmethod(vocabulary_loss)

    def __init__(self, model: nnx.GraphDef, masking: MaskingConfig, mask_id: int):
        self.model = model
        self.masking = masking
        self.mask_id = mask_id

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return {"mlm": {"weight": 1.0}}

    def constants(self, counts: np.ndarray, special: SpecialIds) -> dict[str, Array]:
        """The log-weight with which each token is chosen to be masked, by its training counts."""
        weights = token_log_weights(counts, special, self.masking.smoothing)
        return {"log_weights": jnp.asarray(weights)}

    def prepare(self, constants: Any, batch: DeviceBatch, key: PRNGKeyArray) -> DeviceBatch:
        def mask(input_ids, there, row):
            return mask_tokens(
                key,
                input_ids,
                there,
                row,
                constants["log_weights"],
                config=self.masking,
                mask_id=self.mask_id,
            )

        masked = jax.vmap(mask)(batch["input_ids"], attended(batch), batch["row"])
        return {**borders(batch), **masked._asdict()}

    def where(self, batch: DeviceBatch) -> dict[str, Bool[Array, "..."]]:
        return {"mlm": counted(batch, "masked")}

    def loss(self, inputs: LossInputs) -> tuple[Float[Array, ""], Scalars]:
        model, batch = nnx.merge(self.model, inputs.params), inputs.batch
        output = model.backbone(batch["input_ids"], **borders(batch), rngs=inputs.rngs)
        terms, hidden = {"mlm": MaskedTokens()}, [output.last_hidden]
        return scored(terms, [model.decoder], hidden, inputs, self.vocabulary_loss)


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
        answers: see `DistillConfig.answers`; "untrained" are those of `constants["untrained"]`.
        stored: whether batches hold the teacher's answers (`train.objectives.stored`), so that it
            need not be asked.
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
        answers: AnswersOf = "teacher",
        stored: bool = False,
    ):
        super().__init__(student, masking, mask_id)
        self.teacher = teacher
        self.answers: AnswersOf = answers
        self.stored = stored
        self.terms = terms
        self.forward_terms = {n: t for n, t in terms.items() if isinstance(t, ForwardTerm)}
        self.logit_terms = {n: t for n, t in terms.items() if isinstance(t, LogitTerm)}
        self.mean: Mean = mean
        self.vocabulary = bool(self.logit_terms)
        self.ends = {name: numbers_of(term) for name, term in terms.items()}
        if numbers is not None:
            self.ends = numbers
        outputs = [output for term in self.forward_terms.values() for output in term.outputs]
        self.outputs = tuple(dict.fromkeys(outputs))

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return {
            term: {name: value_at(ends, progress) for name, ends in numbers.items()}
            for term, numbers in self.ends.items()
        }

    def prepare(self, constants: Any, batch: DeviceBatch, key: PRNGKeyArray) -> DeviceBatch:
        if not self.stored:
            return super().prepare(constants, batch, key)
        return super().prepare(constants, batch, stored_masks_key()) | stored_in(batch)

    def where(self, batch: DeviceBatch) -> dict[str, Bool[Array, "..."]]:
        return {name: counted(batch, term.positions) for name, term in self.terms.items()}

    def loss(self, inputs: LossInputs) -> tuple[Float[Array, ""], Scalars]:
        trained, batch = nnx.merge(self.model, inputs.params), inputs.batch
        asked = "untrained" if self.answers == "untrained" else "teacher"
        shuffled = self.answers == "shuffled"
        teacher = nnx.merge(self.teacher, inputs.constants[asked])
        forward = Forward(
            batch,
            student_of(trained),
            teacher,
            outputs=self.outputs,
            lift=trained.lift if isinstance(trained, LiftedStudent) else lambda hidden: hidden,
            rngs=inputs.rngs,
            theirs=of_other_rows(batch, self.masking.group_rows) if shuffled else None,
            known=stored_output(batch, teacher.config) if self.stored else None,
        )
        there = attended(batch)
        sums = {
            name: masked_sum(term.values(forward, inputs.numbers[name]), there)[0]
            for name, term in self.forward_terms.items()
        }
        value = weighted_sum(sums, inputs.shares)
        if not self.logit_terms:
            return value, sums
        hidden = [output.last_hidden for output in (forward.student, forward.teacher)]
        decoders = [model.decoder for model in forward.models]
        more, more_sums = scored(self.logit_terms, decoders, hidden, inputs, self.vocabulary_loss)
        return value + more, sums | more_sums


def scored(
    terms: Mapping[str, LogitTerm],
    decoders: Sequence[Callable[[Hidden], Decoder]],
    hidden: Sequence[Array],
    inputs: LossInputs,
    loss: Callable = vocabulary_loss,
) -> tuple[Float[Array, ""], Scalars]:
    """The weighted sum of terms over the vocabulary, and the sum of each.

    Where no term is averaged over all tokens, logits are made for the predicted ones only: 15 % of
    the work.

    Args:
        terms: by name.
        decoders: of the student and, where there is one, of the teacher.
        hidden: their last hidden states.
        inputs: of the objective's loss.
        loss: `vocabulary_loss`, or another way to compute it.
    """
    batch = inputs.batch
    places = batch["positions"]
    rows, length = attended(batch).shape
    labels = batch["labels"]
    where = {name: counted(batch, term.positions) for name, term in terms.items()}
    if any(term.positions == "attended" for term in terms.values()):
        labels = scatter_positions(labels, places, (rows, length))
        for name, term in terms.items():
            if term.positions == "masked":
                where[name] = scatter_positions(where[name], places, (rows, length))
    else:
        hidden = [gather_positions(each, places) for each in hidden]
    student, *teacher = (decode(each) for decode, each in zip(decoders, hidden, strict=True))
    given = Given(teacher[0] if teacher else None, labels, where)
    # A group of rows has the predicted tokens of all of them.
    chunk = CHUNK * rows // labels.shape[0]
    return loss(tuple(terms.items()), chunk, student, given, inputs.numbers, inputs.shares)
