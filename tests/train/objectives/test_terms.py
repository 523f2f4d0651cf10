"""Every term of a distillation, as what it looks at would have it: float64, one place at a time."""

import re
from dataclasses import fields, replace
from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.errors import InputError
from model.heads import Decoder
from model.output import ModelOutput
from tests import tiny
from train.objectives.distillation import scored
from train.objectives.forward import Forward, counted
from train.objectives.losses import masked_sum
from train.objectives.objective import LossInputs
from train.objectives.schedule import ends, value_at
from train.objectives.terms import (
    AttentionScores,
    DistillationLoss,
    EmbeddingError,
    ForwardKL,
    HiddenCKA,
    HiddenCosine,
    HiddenError,
    HiddenProcrustes,
    JensenShannon,
    LogitError,
    LogitTerm,
    MaskedTokens,
    Relations,
    ReverseKL,
    Term,
    numbers_of,
)

ROWS, LENGTH, VOCAB = 2, 3, 7
STUDENT = tiny.STUDENT.replace(hidden_size=4, num_layers=2)
TEACHER = tiny.TEACHER.replace(hidden_size=8, num_layers=4)
ATTENDED = np.array([[1, 1, 1], [1, 1, 0]], bool)
# One group of two rows; its third slot predicts nothing.
BATCH = {
    "attention_mask": ATTENDED,
    "positions": np.array([[4, 1, 5]], np.int32),
    "labels": np.array([[6, 2, 0]], np.int32),
    "valid": np.array([[True, True, False]]),
}
PLACES = {"attended": [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], "masked": [(1, 1), (0, 1)]}


def outputs(config, seed):
    """What a model of this shape might return, and the decoder that makes its logits."""
    random = np.random.default_rng(seed)

    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    width, heads, layers = config.hidden_size, config.num_heads, config.num_layers
    return {
        "hidden": [normal(ROWS, LENGTH, width) for _ in range(layers + 1)],
        "scores": [normal(ROWS, heads, LENGTH, LENGTH) for _ in range(layers)],
        "qkv": [
            tuple(normal(ROWS, LENGTH, heads, width // heads) for _ in range(3))
            for _ in range(layers)
        ],
        "decoder": normal(width, VOCAB),
        "lift": normal(width, TEACHER.hidden_size),
    }


OURS, THEIRS = outputs(STUDENT, 0), outputs(TEACHER, 1)
THEIRS["lift"] = np.eye(TEACHER.hidden_size, dtype=np.float32)


def decoder(matrix):
    return lambda hidden: Decoder(hidden, matrix.T, jnp.zeros(VOCAB))


class Given(Forward):
    """Outputs that two models might have returned."""

    def __init__(self, student, teacher, configs=(STUDENT, TEACHER)):
        self.batch = {name: jnp.asarray(array) for name, array in BATCH.items()}
        self.student, self.teacher = (
            ModelOutput(
                last_hidden=made["hidden"][-1],
                hidden_states=tuple(made["hidden"]),
                scores=tuple(made["scores"]),
                qkv=tuple(made["qkv"]),
            )
            for made in (student, teacher)
        )
        self.models = tuple(
            SimpleNamespace(config=config, decoder=decoder(made["decoder"]))
            for config, made in zip(configs, (student, teacher), strict=True)
        )
        self.lift = lambda hidden: hidden @ student["lift"]


NOW = {"weight": 1.0, "temperature": 3.0}


def mean(term, student, teacher, beside=None, **options):
    """A term's mean over its places, as a step takes it; one `beside` it does not count."""
    forward = Given(student, teacher, **options)
    where = counted(forward.batch, term.positions)
    count = jnp.sum(where, dtype=jnp.float32)
    if not isinstance(term, LogitTerm):
        return masked_sum(term.values(forward, NOW), where)[0] / count
    terms = {"it": term} if beside is None else {"it": term, "beside": beside}
    hidden = [output.last_hidden for output in (forward.student, forward.teacher)]
    shares = {"it": 1 / count, "beside": jnp.float32(0)}
    shares = {name: shares[name] for name in terms}
    inputs = LossInputs({}, {}, forward.batch, None, dict.fromkeys(terms, NOW), shares)
    return scored(terms, [m.decoder for m in forward.models], hidden, inputs)[0]


@cache
def compiled(term, **options):
    return jax.jit(jax.value_and_grad(lambda s, t: mean(term, s, t, **options)))


def value_and_gradient(term, student, teacher, **options):
    return jax.device_get(compiled(term, **options)(student, teacher))


# The same in float64, for arrays of one place


def log_softmax(x):
    return x - np.log(np.exp(x).sum())


def kl(p, q, temperature=1.0):
    p, q = log_softmax(p / temperature), log_softmax(q / temperature)
    return temperature**2 * np.sum(np.exp(p) * (p - q))


def cosine(a, b):
    return 1 - a @ b / np.sqrt((a @ a + 1e-12) * (b @ b + 1e-12))


def normalised(a, b):
    return np.sum((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2)


def squared(a, b):
    return np.mean((a - b) ** 2)


def of_logits(loss, positions):
    def expected(student, teacher):
        s, t = (made["hidden"][-1] @ made["decoder"] for made in (student, teacher))
        return np.mean([loss(s[place], t[place]) for place in PLACES[positions]])

    return expected


def masked_tokens(student, teacher):
    logits = student["hidden"][-1] @ student["decoder"]
    return -np.mean([log_softmax(logits[1, 1])[6], log_softmax(logits[0, 1])[2]])


def of_hidden(loss, *pairs):
    """Pairs count what enters the first layer as 0."""

    def expected(student, teacher):
        return sum(
            np.mean(
                [
                    loss(student["hidden"][a][place] @ student["lift"], teacher["hidden"][b][place])
                    for place in PLACES["attended"]
                ]
            )
            for a, b in pairs
        )

    return expected


def of_scores(*pairs):
    def expected(student, teacher):
        return sum(
            np.mean(
                [
                    np.mean(
                        [
                            (s[row, head, query, key] - t[row, head, query, key]) ** 2
                            for head in range(STUDENT.num_heads)
                            for key in range(ATTENDED[row].sum())
                        ]
                    )
                    for row, query in PLACES["attended"]
                ]
            )
            for s, t in ((student["scores"][a], teacher["scores"][b]) for a, b in pairs)
        )

    return expected


def of_relations(heads, *pairs):
    def relation(x, row, query, head):
        x = x.reshape(ROWS, LENGTH, heads, -1)[row, : ATTENDED[row].sum(), head]
        return x @ x[query] / np.sqrt(x.shape[-1])

    def expected(student, teacher):
        return sum(
            np.mean(
                [
                    np.mean(
                        [kl(relation(t, *place, h), relation(s, *place, h)) for h in range(heads)]
                    )
                    for place in PLACES["attended"]
                ]
            )
            for a, b in pairs
            for s, t in zip(student["qkv"][a], teacher["qkv"][b], strict=True)
        )

    return expected


def js(s, t):
    """At temperature 3, by the entropies of both and of their mean."""
    q, p = (np.exp(log_softmax(x / 3.0)) for x in (s, t))

    def entropy(x):
        return -np.sum(x * np.log(x))

    return 9 * (entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)


def centred_texts(student, teacher, a, b):
    """The hidden states of each row, without padding and mean, in float64."""
    for row in range(ROWS):
        there = ATTENDED[row]
        yield (
            there.sum(),
            *(
                made["hidden"][layer][row, there] - made["hidden"][layer][row, there].mean(axis=0)
                for made, layer in ((student, a), (teacher, b))
            ),
        )


def of_texts(distance, *pairs):
    """The mean over tokens of a number that all tokens of a text share."""

    def expected(student, teacher):
        return sum(
            sum(count * distance(x, y) for count, x, y in centred_texts(student, teacher, a, b))
            / ATTENDED.sum()
            for a, b in pairs
        )

    return expected


def cka(x, y):
    """By Frobenius norms of products of features (Kornblith et al. 2019, section 3)."""
    own = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return 1 - np.linalg.norm(y.T @ x) ** 2 / own


def procrustes(x, y):
    nuclear = np.linalg.svd(x.T @ y, compute_uv=False).sum()
    return 2 - 2 * nuclear / (np.linalg.norm(x) * np.linalg.norm(y))


def summed(s, t):
    return np.sum((s - t) ** 2)


CASES = [
    ("ce", ForwardKL(), of_logits(lambda s, t: kl(t, s, 3.0), "attended")),
    ("ce", ForwardKL(positions="masked"), of_logits(lambda s, t: kl(t, s, 3.0), "masked")),
    ("reverse_kl", ReverseKL(), of_logits(lambda s, t: kl(s, t, 3.0), "attended")),
    ("reverse_kl", ReverseKL(positions="masked"), of_logits(lambda s, t: kl(s, t, 3.0), "masked")),
    ("js", JensenShannon(), of_logits(js, "attended")),
    ("js", JensenShannon(positions="masked"), of_logits(js, "masked")),
    ("mse", LogitError(), of_logits(summed, "attended")),
    ("mse", LogitError(positions="masked"), of_logits(summed, "masked")),
    ("mlm", MaskedTokens(), masked_tokens),
    ("cos", HiddenCosine(), of_hidden(cosine, (2, 4))),
    ("cos", HiddenCosine(layers="uniform"), of_hidden(cosine, (1, 2), (2, 4))),
    ("hidden", HiddenError(), of_hidden(squared, (2, 4))),
    ("hidden", HiddenError(layers="0:2,1:0"), of_hidden(squared, (1, 3), (2, 1))),
    ("hidden", HiddenError(normalised=True), of_hidden(normalised, (2, 4))),
    ("cka", HiddenCKA(), of_texts(cka, (2, 4))),
    ("cka", HiddenCKA(layers="uniform"), of_texts(cka, (1, 2), (2, 4))),
    ("procrustes", HiddenProcrustes(), of_texts(procrustes, (2, 4))),
    ("procrustes", HiddenProcrustes(layers="0:2,1:0"), of_texts(procrustes, (1, 3), (2, 1))),
    ("embeddings", EmbeddingError(), of_hidden(squared, (0, 0))),
    ("attention", AttentionScores(), of_scores((1, 3))),
    ("attention", AttentionScores(layers="uniform"), of_scores((0, 1), (1, 3))),
    ("relations", Relations(), of_relations(2, (1, 3))),
    ("relations", Relations(heads=4, layers="uniform"), of_relations(4, (0, 1), (1, 3))),
]
IDS = [f"{name} {number}" for number, (name, *_) in enumerate(CASES)]
TERMS = [term for _, term, _ in CASES]
TAUGHT = [
    pytest.param(term, id=name)
    for name, (_, term, _) in zip(IDS, CASES, strict=True)
    if not isinstance(term, MaskedTokens)  # whose teacher is the text
]


def test_no_term_is_left_out_here():
    table = {
        field.name: getattr(DistillationLoss(), field.name) for field in fields(DistillationLoss)
    }
    known = {name: type(term) for name, term, _ in CASES}
    assert known == {name: type(term) for name, term in table.items() if isinstance(term, Term)}


def double(tree):
    return jax.tree.map(np.float64, tree)


def numeric_gradient(function, tree):
    """Central differences in float64, number by number."""
    tree = double(tree)
    gradient = jax.tree.map(np.zeros_like, tree)
    for array, slot in zip(jax.tree.leaves(tree), jax.tree.leaves(gradient), strict=True):
        for place in np.ndindex(array.shape):
            before, values = array[place], []
            for step in (1e-5, -1e-5):
                array[place] = before + step
                values.append(function(tree))
            array[place] = before
            slot[place] = (values[0] - values[1]) / 2e-5
    return gradient


@pytest.mark.parametrize(("name", "term", "expected"), CASES, ids=IDS)
def test_value_and_gradient_are_a_loop_over_places(name, term, expected):
    value, gradient = value_and_gradient(term, OURS, THEIRS)
    teacher = double(THEIRS)
    np.testing.assert_allclose(value, expected(double(OURS), teacher), rtol=2e-6)
    numeric = numeric_gradient(lambda student: expected(student, teacher), OURS)
    assert tiny.difference(gradient, numeric) < 1e-5


@pytest.mark.parametrize("term", [ForwardKL(positions="masked"), MaskedTokens()], ids=str)
def test_it_is_the_same_whether_predicted_places_alone_meet_the_vocabulary(term):
    value, gradient = value_and_gradient(term, OURS, THEIRS)
    other, other_gradient = value_and_gradient(term, OURS, THEIRS, beside=ForwardKL())
    np.testing.assert_allclose(other, value, rtol=1e-6)
    assert tiny.difference(other_gradient, gradient) < 1e-6


@pytest.mark.parametrize("term", TAUGHT)
def test_a_student_like_its_teacher_is_at_the_minimum(term):
    alike = {"configs": (TEACHER, TEACHER)}
    if ":" in getattr(term, "layers", ""):
        term = replace(term, layers="0:0,2:2")
    value, gradient = value_and_gradient(term, THEIRS, THEIRS, **alike)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_allclose(leaf, 0, atol=2e-6)
    moved = jax.tree.map(lambda x: x + np.float32(0.1) * np.sin(100 * x), THEIRS)
    # Three tokens can hardly be moved but by a rotation.
    least = 5e-5 if isinstance(term, HiddenCKA | HiddenProcrustes) else 1e-3
    assert value_and_gradient(term, moved, THEIRS, **alike)[0] > least


def with_padding(made, bad):
    """The same, with `bad` wherever padding speaks or is spoken to."""
    pairs = ATTENDED[:, None, :, None] & ATTENDED[:, None, None, :]

    def spoilt(kept, x):
        return np.where(kept, x, np.float32(bad))

    return made | {
        "hidden": [spoilt(ATTENDED[..., None], x) for x in made["hidden"]],
        "scores": [spoilt(pairs, x) for x in made["scores"]],
        "qkv": [tuple(spoilt(ATTENDED[..., None, None], x) for x in qkv) for qkv in made["qkv"]],
    }


@pytest.mark.parametrize("term", TERMS, ids=IDS)
def test_padding_changes_neither_value_nor_gradient(term):
    value, gradient = value_and_gradient(term, OURS, THEIRS)
    spoilt = with_padding(OURS, 50.0), with_padding(THEIRS, -70.0)
    other, other_gradient = value_and_gradient(term, *spoilt)
    np.testing.assert_array_equal(other, value)
    jax.tree.map(np.testing.assert_array_equal, other_gradient, gradient)
    for leaf in (*gradient["hidden"], *jax.tree.leaves(gradient["qkv"])):
        np.testing.assert_array_equal(leaf[~ATTENDED], 0)


# Options


@pytest.mark.parametrize(
    ("name", "term", "message"),
    [
        ("cos", HiddenCosine(layers="0:4"), "--loss.cos.layers '0:4': the teacher has no layer 4"),
        ("hidden", HiddenError(layers="2:0"), "--loss.hidden.layers '2:0': the student has no la"),
        ("hidden", HiddenError(layers="all"), "--loss.hidden.layers 'all' are unknown"),
        ("attention", AttentionScores(layers="0:9"), "--loss.attention.layers '0:9': the teacher"),
        ("relations", Relations(layers="-1:0"), "--loss.relations.layers '-1:0': the student has"),
        ("relations", Relations(heads=3), "--loss.relations.heads 3 does not divide the student's"),
        ("relations", Relations(heads=8), "heads 8 does not divide the student's width of 4"),
    ],
)
def test_options_that_do_not_fit_the_models(name, term, message):
    with pytest.raises(InputError, match=re.escape(message)):
        term.check(name, STUDENT, TEACHER)


def test_relation_heads_must_divide_the_teachers_width_too():
    with pytest.raises(InputError, match="heads 3 does not divide the teacher's width of 8"):
        Relations(heads=3).check("relations", STUDENT.replace(hidden_size=6), TEACHER)


@pytest.mark.parametrize("term", TERMS, ids=IDS)
def test_options_that_fit_the_models(term):
    term.check("name", STUDENT, TEACHER)


def test_scores_need_equal_heads_and_relations_do_not():
    student = STUDENT.replace(num_heads=1)
    message = "--loss.attention: the student has 1 attention heads and the teacher 2"
    with pytest.raises(InputError, match=message):
        AttentionScores().check("attention", student, TEACHER)
    Relations().check("relations", student, TEACHER)


def test_relation_heads_are_by_default_as_many_as_the_teachers():
    configs = STUDENT.replace(num_heads=1), TEACHER
    value, gradient = value_and_gradient(Relations(), OURS, THEIRS, configs=configs)
    expected, expected_gradient = value_and_gradient(Relations(heads=2), OURS, THEIRS)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert tiny.difference(gradient, expected_gradient) < 1e-6


def test_terms_are_those_with_a_weight():
    loss = DistillationLoss()
    assert {name: term.weight for name, term in loss.terms().items()} == {
        "ce": 5.0,
        "mlm": 2.0,
        "cos": 1.0,
    }
    ramps = DistillationLoss(hidden=HiddenError(weight=(0.0, 1.0)), ce=ForwardKL(weight=(0.0, 0.0)))
    assert set(ramps.terms()) == {"mlm", "cos", "hidden"}


def test_with_weights_leaves_all_but_the_weights():
    loss = DistillationLoss(
        ce=ForwardKL(weight=1.0, temperature=4.0),
        hidden=HiddenError(layers="uniform"),
        mean="micro-batches",
    )
    other = loss.with_weights(hidden=2.0, reverse_kl=(1.0, 0.0))
    assert other.terms() == {
        "reverse_kl": ReverseKL(weight=(1.0, 0.0)),
        "hidden": HiddenError(weight=2.0, layers="uniform"),
    }
    assert other.ce == ForwardKL(weight=0.0, temperature=4.0)
    assert other.mean == "micro-batches"


def test_numbers_of_a_term_are_those_that_may_change():
    term = ForwardKL(weight=(1.0, 0.0), temperature=4.0)
    assert numbers_of(term) == {"weight": (1.0, 0.0), "temperature": (4.0, 4.0)}
    assert numbers_of(Relations(heads=4)) == {"weight": (0.0, 0.0)}


def test_a_number_moves_in_a_straight_line():
    assert [value_at(ends((4.0, 1.0)), share) for share in (0.0, 0.5, 1.0)] == [4.0, 2.5, 1.0]
    assert value_at(ends(0.3), 0.7) == 0.3
