"""The terms that a distillation can be made of; `DistillationLoss` is the table of them.

A term is a dataclass of its options and two methods: where it is averaged, and its value at every
such place. To add one, write the class and give it a line in `DistillationLoss` (docs/losses.md).
"""

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from model.config import EncoderConfig
from model.errors import InputError, above_zero
from train.objectives.forward import Positions, View, where
from train.objectives.layer_pairs import layer_pairs
from train.objectives.losses import (
    cosine_distance,
    cross_entropy,
    distillation_kl,
    logit_mse,
    normalised_squared_error,
    relation_kl,
    score_error,
    squared_error,
)
from train.objectives.objective import Batch
from train.objectives.schedule import Number, ends
from train.objectives.vocabulary import Scores

Values = Float[Array, "..."]


@dataclass(frozen=True)
class Term:
    """One summand of the loss. A term of weight 0 is not computed."""

    outputs: ClassVar[tuple[str, ...]] = ()
    """What teacher and student must return for it, see `Backbone`."""
    same_width: ClassVar[bool] = False
    """Whether it compares hidden states, so that a narrower student's must be lifted."""

    weight: Number = 0.0
    """What the mean is multiplied with; two values: from the first to the last update."""

    @property
    def asked_for(self) -> bool:
        return ends(self.weight) != (0, 0)

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        """Raises InputError where options of the term `name` make no sense or do not fit models."""

    def where(self, batch: Batch) -> Bool[Array, "..."]:
        """The places of a masked batch that the mean is taken over."""
        return where(batch, "attended")

    def values(self, seen: Any, now: dict[str, Any]) -> Values:
        """The loss at every place, from a `View` or, if it is a `VocabularyTerm`, from `Scores`.

        `now` has the present values of all Numbers.
        """
        raise NotImplementedError


class VocabularyTerm(Term):
    """What trains the masked-LM head: the scores come a few tokens at a time."""

    positions: Positions
    """At all attended tokens, or at the predicted ones only."""

    def where(self, batch: Batch) -> Bool[Array, "..."]:
        return where(batch, self.positions)


@dataclass(frozen=True)
class MaskedTokens(VocabularyTerm):
    """Cross-entropy with the hidden tokens (Devlin et al. 2019, section 3.1); no teacher needed."""

    positions: ClassVar[Positions] = "masked"

    def values(self, scores: Scores, now: dict[str, Any]) -> Values:
        return cross_entropy(scores.student, scores.labels)


@dataclass(frozen=True)
class Logits(VocabularyTerm):
    """What compares the scores of student and teacher."""

    positions: Positions = "attended"
    """At all attended tokens, or at the predicted ones only."""

    def values(self, scores: Scores, now: dict[str, Any]) -> Values:
        assert scores.teacher is not None
        return self.compared(scores.student, scores.teacher, now)

    def compared(self, student: Values, teacher: Values, now: dict[str, Any]) -> Values:
        """The loss of [..., vocab] scores."""
        raise NotImplementedError


@dataclass(frozen=True)
class ForwardKL(Logits):
    """T^2 KL(teacher || student) of softened distributions (Hinton et al. 2015, section 2)."""

    temperature: Number = 2.0
    """Softens teacher and student alike; two values: from the first to the last update."""

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        above_zero(self, "temperature", prefix=f"--loss.{name}.")

    def compared(self, student: Values, teacher: Values, now: dict[str, Any]) -> Values:
        return distillation_kl(student, teacher, now["temperature"])


@dataclass(frozen=True)
class ReverseKL(ForwardKL):
    """T^2 KL(student || teacher): seeks a mode of the teacher (Gu et al. 2024, MiniLLM, sec. 2)."""

    def compared(self, student: Values, teacher: Values, now: dict[str, Any]) -> Values:
        return distillation_kl(teacher, student, now["temperature"])


@dataclass(frozen=True)
class LogitError(Logits):
    """Squared difference of raw logits, summed over the vocabulary: very large numbers.

    Ba and Caruana 2014 (section 2.2), with the scale of the original's `alpha_mse`.
    """

    def compared(self, student: Values, teacher: Values, now: dict[str, Any]) -> Values:
        return logit_mse(student, teacher)


@dataclass(frozen=True)
class Layers(Term):
    """What compares layers, summed over the pairs of them."""

    layers: str = "last"
    """`last`, `uniform` (teacher layers at even distances), or pairs of a student's and a teacher's
    layer, counted from 0, such as `0:1,5:11`."""

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        try:
            self.pairs(student, teacher)
        except InputError as error:
            raise InputError(f"--loss.{name}.{error}") from error

    def pairs(self, student: EncoderConfig, teacher: EncoderConfig) -> tuple[tuple[int, int], ...]:
        return layer_pairs(self.layers, student.num_layers, teacher.num_layers)

    def values(self, view: View, now: dict[str, Any]) -> Values:
        student, teacher = (model.config for model in view.models)
        return sum(
            (self.of_layers(view, ours, theirs) for ours, theirs in self.pairs(student, teacher)),
            start=jnp.float32(0),
        )

    def of_layers(self, view: View, student: int, teacher: int) -> Values:
        """The loss of one pair at every place."""
        raise NotImplementedError


@dataclass(frozen=True)
class HiddenCosine(Layers):
    """1 - cosine of hidden states (Sanh et al. 2019, section 2: the last layer's)."""

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)
    same_width: ClassVar[bool] = True

    def of_layers(self, view: View, student: int, teacher: int) -> Values:
        return cosine_distance(*view.hidden(student, teacher))


@dataclass(frozen=True)
class HiddenError(Layers):
    """Squared error of hidden states (Jiao et al. 2020, TinyBERT, equation 8)."""

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)
    same_width: ClassVar[bool] = True

    normalised: bool = False
    """Of hidden states divided by their length, summed and not averaged over the width
    (Sun et al. 2019, Patient KD, section 3.2)."""

    def of_layers(self, view: View, student: int, teacher: int) -> Values:
        error = normalised_squared_error if self.normalised else squared_error
        return error(*view.hidden(student, teacher))


@dataclass(frozen=True)
class EmbeddingError(Term):
    """Squared error of what enters the first layer (Jiao et al. 2020, TinyBERT, equation 9)."""

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)
    same_width: ClassVar[bool] = True

    def values(self, view: View, now: dict[str, Any]) -> Values:
        return squared_error(*view.hidden(-1, -1))


@dataclass(frozen=True)
class AttentionScores(Layers):
    """Squared error of attention scores before softmax (Jiao et al. 2020, TinyBERT, equation 7)."""

    outputs: ClassVar[tuple[str, ...]] = ("scores",)

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        super().check(name, student, teacher)
        if student.num_heads != teacher.num_heads:
            raise InputError(
                f"--loss.{name}: the student has {student.num_heads} attention heads and the "
                f"teacher {teacher.num_heads}, so their scores cannot be compared: give the "
                "student as many with --student.num-heads, or use --loss.relations"
            )

    def of_layers(self, view: View, student: int, teacher: int) -> Values:
        ours, theirs = view.student.scores, view.teacher.scores
        assert ours is not None and theirs is not None
        return score_error(ours[student], theirs[teacher], view.attended)


@dataclass(frozen=True)
class Relations(Layers):
    """KL of how queries, keys and values relate to one another (Wang et al. 2021, MiniLMv2).

    The sum of the three relations, all of weight 1 as in section 3.1 there. It compares models of
    any width and number of heads.
    """

    outputs: ClassVar[tuple[str, ...]] = ("qkv",)

    heads: int = 0
    """Relation heads, into which queries, keys and values are split anew; 0: as many as the teacher
    has attention heads. The paper uses 48 for a teacher of 12."""

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        super().check(name, student, teacher)
        heads = self.heads or teacher.num_heads
        for whose, config in (("student", student), ("teacher", teacher)):
            if heads < 1 or config.hidden_size % heads:
                raise InputError(
                    f"--loss.{name}.heads {heads} does not divide the {whose}'s width of "
                    f"{config.hidden_size}: choose a divisor of it"
                )

    def of_layers(self, view: View, student: int, teacher: int) -> Values:
        ours, theirs = view.student.qkv, view.teacher.qkv
        assert ours is not None and theirs is not None
        heads = self.heads or view.models[1].config.num_heads

        def flat(x: Array) -> Array:
            return x.reshape(*x.shape[:2], -1)

        return sum(
            (
                relation_kl(flat(a), flat(b), view.attended, heads)
                for a, b in zip(ours[student], theirs[teacher], strict=True)
            ),
            start=jnp.float32(0),
        )


@dataclass(frozen=True)
class DistillationLoss:
    """What a student minimises: the weighted sum of these terms' means.

    The defaults are the triple loss with the weights of the original code's README.
    """

    ce: ForwardKL = ForwardKL(weight=5.0)
    mlm: MaskedTokens = MaskedTokens(weight=2.0)
    cos: HiddenCosine = HiddenCosine(weight=1.0)
    mse: LogitError = LogitError()
    reverse_kl: ReverseKL = ReverseKL()
    hidden: HiddenError = HiddenError()
    embeddings: EmbeddingError = EmbeddingError()
    attention: AttentionScores = AttentionScores()
    relations: Relations = Relations()
    mean: Literal["tokens", "micro-batches"] = "tokens"
    """Means are over all places of an update; or, as in the original, the mean of micro-batches'
    means, in which a place of a short micro-batch counts more."""

    def terms(self) -> dict[str, Term]:
        """Those that are asked for, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {n: t for n, t in named.items() if isinstance(t, Term) and t.asked_for}

    def with_weights(self, **weights: Number) -> "DistillationLoss":
        """This loss with other weights; all terms that are not named get 0."""
        terms = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(
            self,
            **{
                name: replace(term, weight=weights.get(name, 0.0))
                for name, term in terms.items()
                if isinstance(term, Term)
            },
        )


def numbers_of(term: Term) -> dict[str, tuple[float, float]]:
    """Those options of a term that are numbers, at the first and at the last update."""
    return {
        field.name: ends(getattr(term, field.name))
        for field in fields(term)
        if field.type == Number
    }
