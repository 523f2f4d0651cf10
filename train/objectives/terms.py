"""The terms that a distillation can be made of; `DistillationLoss` is the table of them.

A term is a dataclass of its options with one method: its value at every place. To add one, write
the class and give it a line in `DistillationLoss` (docs/losses.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Annotated, ClassVar, Literal, get_type_hints

import jax.numpy as jnp
from jaxtyping import Array, Float, Float32, Int

from model.config import EncoderConfig
from model.errors import InputError
from model.losses import weighted_cross_entropy
from model.ranges import Range
from train.objectives.forward import Forward, Positions
from train.objectives.layer_pairs import layer_pairs
from train.objectives.losses import (
    cka_distance,
    cosine_distance,
    cross_entropy,
    distillation_kl,
    jensen_shannon,
    logit_mse,
    normalised_squared_error,
    procrustes_distance,
    relation_kl,
    score_error,
    squared_error,
)
from train.objectives.schedule import TEMPERATURES, WEIGHTS, Now, Number, ends

Losses = Float[Array, "..."]
Logits = Float32[Array, "rows tokens vocab"]
Labels = Int[Array, "rows tokens"]


@dataclass(frozen=True)
class LogitTerm:
    """A term that compares logits, a few tokens at a time, and so trains the masked-LM head."""

    listens: ClassVar[bool] = True
    """Whether it needs a teacher."""

    weight: Annotated[Number, WEIGHTS] = 0.0
    """Weight of this term; a pair is interpolated linearly over the run."""
    positions: Positions = "attended"
    """At all attended tokens, or at the predicted ones only."""

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        """Raises InputError where options of the term `name` make no sense or do not fit models."""

    def values(self, student: Logits, teacher: Logits, labels: Labels, now: Now) -> Losses:
        """The loss at every token.

        Args:
            student: logits of the student.
            teacher: logits of the teacher.
            labels: the original token, where one is predicted.
            now: the present values of those options that are a `Number`.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class MaskedTokens(LogitTerm):
    """Cross-entropy with the hidden tokens (Devlin et al. 2019, section 3.1); no teacher needed."""

    listens: ClassVar[bool] = False
    positions: ClassVar[Positions] = "masked"

    def values(self, student: Logits, teacher: Logits | None, labels: Labels, now: Now) -> Losses:
        return cross_entropy(student, labels)


@dataclass(frozen=True)
class ForwardKL(LogitTerm):
    """T^2 KL(teacher || student) of softened distributions (Hinton et al. 2015, section 2)."""

    temperature: Annotated[Number, TEMPERATURES] = 2.0
    """Softens teacher and student alike; two values: from the first to the last update."""

    def values(self, student: Logits, teacher: Logits, labels: Labels, now: Now) -> Losses:
        return distillation_kl(student, teacher, now["temperature"])


@dataclass(frozen=True)
class ReverseKL(ForwardKL):
    """T^2 KL(student || teacher): seeks a mode of the teacher (Gu et al. 2024, MiniLLM, sec. 2)."""

    def values(self, student: Logits, teacher: Logits, labels: Labels, now: Now) -> Losses:
        return distillation_kl(teacher, student, now["temperature"])


@dataclass(frozen=True)
class JensenShannon(ForwardKL):
    """T^2 JS of both: symmetric, and at most T^2 log 2 (Agarwal et al. 2024, GKD, beta = 1/2)."""

    def values(self, student: Logits, teacher: Logits, labels: Labels, now: Now) -> Losses:
        return jensen_shannon(student, teacher, now["temperature"])


@dataclass(frozen=True)
class LogitError(LogitTerm):
    """Squared difference of raw logits, summed over the vocabulary: very large numbers.

    Ba and Caruana 2014 (section 2.2), with the scale of the original's `alpha_mse`.
    """

    def values(self, student: Logits, teacher: Logits, labels: Labels, now: Now) -> Losses:
        return logit_mse(student, teacher)


@dataclass(frozen=True)
class NextToken(LogitTerm):
    """Cross-entropy with the next token; no teacher needed."""

    listens: ClassVar[bool] = False
    positions: ClassVar[Positions] = "attended"
    smoothing: Annotated[float, Range(0, 0.99)] = 0.0
    """The share of a token's probability that all tokens divide evenly (Szegedy et al. 2016)."""

    def values(self, student: Logits, teacher: Logits | None, labels: Labels, now: Now) -> Losses:
        if not self.smoothing:
            return cross_entropy(student, labels)
        return weighted_cross_entropy(student, labels, jnp.ones(()), self.smoothing)


@dataclass(frozen=True)
class NextTokenKL(ForwardKL):
    """T^2 KL(teacher || student) of softened distributions of the next token."""

    positions: ClassVar[Positions] = "attended"


@dataclass(frozen=True)
class ForwardTerm:
    """A term that compares what the layers of both models return, at all attended tokens."""

    listens: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...]] = ()
    """Names of what both models must return for it, see `Backbone`."""
    same_width: ClassVar[bool] = False
    """Whether it compares hidden states, so that a narrower student's must be lifted."""
    positions: ClassVar[Positions] = "attended"

    weight: Annotated[Number, WEIGHTS] = 0.0
    """Weight of this term; a pair is interpolated linearly over the run."""

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        """Raises InputError where options of the term `name` make no sense or do not fit models."""

    def values(self, forward: Forward, now: Now) -> Losses:
        """The loss at every token, [rows, length].

        Args:
            forward: the outputs of both models.
            now: the present values of those options that are a `Number`.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LayerTerm(ForwardTerm):
    """A term that is summed over pairs of layers."""

    layers: str = "last"
    """`last`, `uniform` (teacher layers at even distances), or pairs of a student's and a teacher's
    layer, counted from 0, such as `0:1,5:11`."""

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        try:
            layer_pairs(self.layers, student.num_layers, teacher.num_layers)
        except InputError as error:
            raise InputError(f"--loss.{name}.{error}") from error


def total(values: Iterable[Losses]) -> Losses:
    """The sum of losses at the same places."""
    return sum(values, start=jnp.float32(0))


@dataclass(frozen=True)
class HiddenCosine(LayerTerm):
    """1 - cosine of hidden states (Sanh et al. 2019, section 2: the last layer's)."""

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)
    same_width: ClassVar[bool] = True

    def values(self, forward: Forward, now: Now) -> Losses:
        return total(cosine_distance(a, b) for a, b in forward.hidden(self.layers))


@dataclass(frozen=True)
class HiddenError(LayerTerm):
    """Squared error of hidden states (Jiao et al. 2020, TinyBERT, equation 8)."""

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)
    same_width: ClassVar[bool] = True

    normalised: bool = False
    """Of hidden states divided by their length, summed and not averaged over the width
    (Sun et al. 2019, Patient KD, section 3.2)."""

    def values(self, forward: Forward, now: Now) -> Losses:
        error = normalised_squared_error if self.normalised else squared_error
        return total(error(a, b) for a, b in forward.hidden(self.layers))


@dataclass(frozen=True)
class HiddenCKA(LayerTerm):
    """1 - CKA of the hidden states of each text, of any width (Dasgupta and Cohn 2025)."""

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)

    def values(self, forward: Forward, now: Now) -> Losses:
        pairs = forward.pairs()
        return total(cka_distance(a, b, pairs) for a, b in forward.own_hidden(self.layers))


@dataclass(frozen=True)
class HiddenProcrustes(LayerTerm):
    """Distance of the hidden states of each text after the best rotation, of any width.

    Ding et al. 2021, section 2. A singular value decomposition for each text and pair of layers,
    in the smaller width: dear in wide models.
    """

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)

    def values(self, forward: Forward, now: Now) -> Losses:
        texts = forward.texts()
        return total(procrustes_distance(a, b, texts) for a, b in forward.own_hidden(self.layers))


@dataclass(frozen=True)
class EmbeddingError(ForwardTerm):
    """Squared error of the inputs of the first layers (Jiao et al. 2020, TinyBERT, equation 9)."""

    outputs: ClassVar[tuple[str, ...]] = ("hidden_states",)
    same_width: ClassVar[bool] = True

    def values(self, forward: Forward, now: Now) -> Losses:
        return squared_error(*forward.embeddings())


@dataclass(frozen=True)
class AttentionScores(LayerTerm):
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

    def values(self, forward: Forward, now: Now) -> Losses:
        layers, pairs = forward.scores(self.layers), forward.pairs()
        return total(score_error(a, b, pairs) for a, b in layers)


@dataclass(frozen=True)
class Relations(LayerTerm):
    """KL of how queries, keys and values relate to one another (Wang et al. 2021, MiniLMv2).

    The sum of the three relations, all of weight 1 as in section 3.1 there. It compares models of
    any width and number of heads.
    """

    outputs: ClassVar[tuple[str, ...]] = ("qkv",)

    heads: Annotated[int, Range(0, 1024)] = 0
    """Relation heads, into which queries, keys and values are split again; 0: as many as the
    teacher has attention heads. The paper uses 48 for a teacher of 12."""

    def check(self, name: str, student: EncoderConfig, teacher: EncoderConfig) -> None:
        super().check(name, student, teacher)
        heads = self.heads or teacher.num_heads
        for whose, config in (("student", student), ("teacher", teacher)):
            if config.hidden_size % heads:
                raise InputError(
                    f"--loss.{name}.heads {heads} does not divide the {whose}'s width of "
                    f"{config.hidden_size}: choose a divisor of it"
                )

    def values(self, forward: Forward, now: Now) -> Losses:
        heads = self.heads or forward.models[1].config.num_heads

        def flat(x: Array) -> Array:
            return x.reshape(*x.shape[:2], -1)

        pairs = forward.pairs()
        return total(
            total(
                relation_kl(flat(a), flat(b), pairs, heads)
                for a, b in zip(ours, theirs, strict=True)
            )
            for ours, theirs in forward.qkv(self.layers)
        )


Term = LogitTerm | ForwardTerm
"""One summand of the loss. A term of weight 0 is not computed."""


@dataclass(frozen=True)
class DistillationLoss:
    """The loss of a student: the weighted sum of the means of these terms.

    The defaults are the triple loss with the weights of the original code's README.
    """

    ce: ForwardKL = ForwardKL(weight=5.0)
    mlm: MaskedTokens = MaskedTokens(weight=2.0)
    cos: HiddenCosine = HiddenCosine(weight=1.0)
    mse: LogitError = LogitError()
    reverse_kl: ReverseKL = ReverseKL()
    js: JensenShannon = JensenShannon()
    hidden: HiddenError = HiddenError()
    cka: HiddenCKA = HiddenCKA()
    procrustes: HiddenProcrustes = HiddenProcrustes()
    embeddings: EmbeddingError = EmbeddingError()
    attention: AttentionScores = AttentionScores()
    relations: Relations = Relations()
    mean: Literal["tokens", "micro-batches"] = "tokens"
    """Means are over all places of an update; or, as in the original, the mean of micro-batches'
    means, in which a place of a short micro-batch counts more. All devices share a micro-batch."""

    def terms(self) -> dict[str, Term]:
        """The terms that have a weight, by name."""
        return {name: term for name, term in self._all().items() if ends(term.weight) != (0, 0)}

    def _all(self) -> dict[str, Term]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: term for name, term in named.items() if isinstance(term, Term)}

    @property
    def listens(self) -> bool:
        """True if some term needs a teacher."""
        return any(term.listens for term in self.terms().values())

    def with_weights(self, **weights: Number) -> "DistillationLoss":
        """This loss with other weights; all terms that are not named get 0."""
        terms = self._all().items()
        changed = {name: replace(term, weight=weights.get(name, 0.0)) for name, term in terms}
        return replace(self, **changed)


@dataclass(frozen=True)
class CausalLoss:
    """The loss of a decoder's student: the weighted sum of the means of these terms."""

    ce: NextTokenKL = NextTokenKL(weight=1.0)
    next_token: NextToken = NextToken(weight=1.0)

    def terms(self) -> dict[str, LogitTerm]:
        """The terms that have a weight, by name."""
        named = {"ce": self.ce, "next_token": self.next_token}
        return {name: term for name, term in named.items() if ends(term.weight) != (0, 0)}


def numbers_of(term: Term) -> dict[str, tuple[float, float]]:
    """The options of a term that are numbers, at the first and at the last update."""
    kinds = get_type_hints(type(term))
    return {
        field.name: ends(getattr(term, field.name))
        for field in fields(term)
        if kinds[field.name] == Number
    }
