"""The objective of a model that writes: every next token of the target, and a teacher's scores."""

from typing import Any

from flax import nnx
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from tasks.writing.kind import Writing
from train.objectives.finetuning import TaskLoss
from train.objectives.objective import DeviceBatch, LossInputs, Mean, Numbers, Scalars
from train.objectives.terms import LogitTerm, NextToken, NextTokenKL
from train.objectives.vocabulary import CHUNK, Given, vocabulary_loss


class WritingObjective:
    """Losses over the vocabulary at the tokens of the target, given those before (teacher forcing).

    With a teacher's structure also T^2 KL(teacher || student), with the weights of `loss`: what
    Kim and Rush 2016 (section 3.1) call word-level distillation. Its parameters are the constant
    `teacher`.

    Args:
        model: the structure of the student.
        kind: that of the task, which writes.
        teacher: the structure of a teacher whose probabilities are learned.
        loss: the weights of both.
        smoothing: of the labels.
    """

    mean: Mean = "tokens"

    def __init__(
        self,
        model: nnx.GraphDef,
        kind: Writing,
        teacher: nnx.GraphDef | None = None,
        loss: TaskLoss | None = None,
        *,
        smoothing: float = 0.0,
    ):
        loss = loss if loss and teacher is not None else TaskLoss(task=1.0, soft=0.0)
        self.model, self.kind, self.teacher = model, kind, teacher if loss.soft else None
        terms: dict[str, tuple[LogitTerm, dict[str, float]]] = {
            "task": (NextToken(smoothing=smoothing), {"weight": loss.task}),
            "soft": (NextTokenKL(), {"weight": loss.soft, "temperature": loss.temperature}),
        }
        terms = {name: term for name, term in terms.items() if term[1]["weight"]}
        self.terms = {name: term for name, (term, _) in terms.items()}
        self.now = {name: now for name, (_, now) in terms.items()}

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return self.now

    def prepare(self, constants: Any, batch: DeviceBatch, key: PRNGKeyArray) -> DeviceBatch:
        return batch  # nothing is drawn: the tokens are read as they are

    def where(self, batch: DeviceBatch) -> dict[str, Bool[Array, "..."]]:
        return dict.fromkeys(self.terms, self.kind.where(batch))

    def loss(self, inputs: LossInputs) -> tuple[Float[Array, ""], Scalars]:
        kind, batch = self.kind, inputs.batch
        student = kind.forward(nnx.merge(self.model, inputs.params), batch, inputs.rngs)["decoder"]
        teacher = None
        if self.teacher is not None:
            theirs = nnx.merge(self.teacher, inputs.constants["teacher"])
            teacher = kind.forward(theirs, batch)["decoder"]
        given = Given(teacher, kind.next_tokens(batch), self.where(batch))
        terms = tuple(self.terms.items())
        return vocabulary_loss(terms, CHUNK, student, given, inputs.numbers, inputs.shares)
