"""The losses over the vocabulary are the same in chunks, and their memory is a chunk's."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.heads import Decoder
from tests import tiny
from train.objectives.losses import cross_entropy, distillation_kl, logit_mse
from train.objectives.terms import ForwardKL, LogitError, MaskedTokens, ReverseKL
from train.objectives.vocabulary import Given, vocabulary_loss
from train.update.parallel import Parallel, ParallelConfig

ROWS, TOKENS, WIDTH, VOCAB = 8, 13, 6, 50
TERMS = (
    ("ce", ForwardKL()),
    ("mlm", MaskedTokens()),
    ("mse", LogitError()),
    ("reverse_kl", ReverseKL()),
)
NUMBERS = {"ce": {"temperature": 2.0}, "mlm": {}, "mse": {}, "reverse_kl": {"temperature": 3.0}}
SHARES = {"ce": 0.02, "mlm": 0.1, "mse": 1e-3, "reverse_kl": 0.01}


def decoder(seed, dtype=jnp.float32):
    """The teacher is wider."""
    random, width = np.random.default_rng(seed), WIDTH + seed
    features, table, bias = (
        jnp.asarray(random.normal(size=shape), jnp.float32)
        for shape in ((ROWS, TOKENS, width), (VOCAB, width), (VOCAB,))
    )
    return Decoder(features.astype(dtype), table, bias)


STUDENT, TEACHER = decoder(0), decoder(2)
RANDOM = np.random.default_rng(9)
LABELS = jnp.asarray(RANDOM.integers(0, VOCAB, (ROWS, TOKENS)))
ATTENDED = jnp.asarray(np.arange(TOKENS) < RANDOM.integers(3, TOKENS + 1, (ROWS, 1)))
MASKED = ATTENDED & jnp.asarray(RANDOM.random((ROWS, TOKENS)) < 0.3)
WHERE = {"ce": ATTENDED, "mlm": MASKED, "mse": ATTENDED, "reverse_kl": MASKED}
GIVEN = Given(TEACHER, LABELS, WHERE)


def plain(student, given=GIVEN, numbers=NUMBERS, shares=SHARES):
    """The same with all scores at once, and the gradient left to JAX."""
    assert given.teacher is not None
    ours, theirs = student.scores(), given.teacher.scores()
    values = {
        "ce": distillation_kl(ours, theirs, numbers["ce"]["temperature"]),
        "mlm": cross_entropy(ours, given.labels),
        "mse": logit_mse(ours, theirs),
        "reverse_kl": distillation_kl(theirs, ours, numbers["reverse_kl"]["temperature"]),
    }
    sums = {n: jnp.sum(jnp.where(given.where[n], v, 0)) for n, v in values.items()}
    return sum(shares[name] * total for name, total in sums.items()), sums


def chunked(student, given=GIVEN, numbers=NUMBERS, shares=SHARES, *, chunk=5) -> Any:
    return vocabulary_loss(TERMS, chunk, student, given, numbers, shares)


def graded(loss):
    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def assert_same(found, expected):
    (value, sums), gradient = found
    (expected_value, expected_sums), expected_gradient = expected
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    for name, total in sums.items():
        np.testing.assert_allclose(total, expected_sums[name], rtol=1e-6, err_msg=name)
    assert tiny.difference(gradient, expected_gradient) < 1e-6


@pytest.mark.parametrize("chunk", [1, 5, 6, TOKENS, 100])
def test_chunks_give_what_all_tokens_at_once_give(chunk):
    assert_same(graded(partial(chunked, chunk=chunk))(STUDENT), graded(plain)(STUDENT))


def test_the_value_needs_no_gradient():
    value, sums = jax.jit(chunked)(STUDENT)
    expected, expected_sums = plain(STUDENT)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for name, total in sums.items():
        np.testing.assert_allclose(total, expected_sums[name], rtol=1e-6)


@pytest.mark.long
def test_the_gradient_grows_with_what_follows():
    def thrice(student):
        value, sums = chunked(student)
        return 3 * value, sums

    gradient = jax.grad(thrice, has_aux=True)(STUDENT)[0]
    expected = jax.tree.map(lambda leaf: 3 * leaf, jax.grad(plain, has_aux=True)(STUDENT)[0])
    assert tiny.difference(gradient, expected) < 1e-6


def test_a_mesh_gives_the_same():
    machine = Parallel(ParallelConfig(devices=4))
    rows, whole = machine.by_rows, machine.replicated
    student = Decoder(*map(jax.device_put, STUDENT, (rows, whole, whole)))
    given = Given(
        Decoder(*map(jax.device_put, TEACHER, (rows, whole, whole))),
        jax.device_put(LABELS, rows),
        jax.device_put(WHERE, rows),
    )
    assert_same(graded(chunked)(student, given), graded(plain)(STUDENT))


@pytest.mark.long
def test_pmap_gives_the_same():
    def parts(array):
        return array.reshape(4, ROWS // 4, *array.shape[1:])

    def of_device(features, theirs, labels, where):
        given = Given(TEACHER._replace(features=theirs), labels, where)
        student = STUDENT._replace(features=features)
        loss, gradient = jax.value_and_grad(chunked, has_aux=True)(student, given)
        summed = jax.lax.psum((loss, gradient.table, gradient.bias), "data")
        return *summed, gradient.features

    arguments = jax.tree.map(parts, (STUDENT.features, TEACHER.features, LABELS, WHERE))
    *summed, features = jax.pmap(of_device, "data")(*arguments)
    loss, table, bias = jax.tree.map(lambda leaf: leaf[0], summed)
    gradient = Decoder(features.reshape(STUDENT.features.shape), table, bias)
    assert_same(jax.device_get((loss, gradient)), jax.device_get(graded(plain)(STUDENT)))


@pytest.mark.long
def test_a_study_gives_each_student_its_own():
    """Students, weights and temperatures along an axis; teacher and text without it."""
    students = [STUDENT, jax.tree.map(lambda leaf: 0.5 * leaf, STUDENT)]
    shares = [SHARES, {name: 3 * share for name, share in SHARES.items()}]
    numbers = [NUMBERS, NUMBERS | {"ce": {"temperature": 4.0}}]

    def stacked(trees):
        return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *trees)

    def alone(student, numbers, shares):
        return jax.value_and_grad(chunked, has_aux=True)(student, GIVEN, numbers, shares)

    together = jax.jit(jax.vmap(alone))(*map(stacked, (students, numbers, shares)))
    for place, inputs in enumerate(zip(students, numbers, shares, strict=True)):
        student, of_it, share = inputs
        expected = graded(plain)(student, GIVEN, of_it, share)
        assert_same(jax.tree.map(lambda leaf, at=place: leaf[at], together), expected)


def test_in_bfloat16_the_sums_stay_float32():
    student = decoder(0, jnp.bfloat16)
    given = GIVEN._replace(teacher=decoder(2, jnp.bfloat16))
    (value, sums), gradient = graded(chunked)(student, given)
    # The gradient of a bias for each token is that of the scores.
    bias = jnp.broadcast_to(student.bias, (ROWS, TOKENS, VOCAB))
    (expected, _), expected_gradient = graded(plain)(student._replace(bias=bias), given)
    of_scores = expected_gradient.bias
    assert value.dtype == sums["ce"].dtype == gradient.table.dtype == jnp.float32
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert gradient.features.dtype == jnp.bfloat16
    features = [np.float32(each.features) for each in (gradient, expected_gradient)]
    assert tiny.difference(*features) < 4e-3
    # Of the sums over tokens only what is summed is rounded, and for the bias not even that.
    rounded, features = (np.float64(x) for x in (of_scores.astype("bfloat16"), student.features))
    table = np.einsum("rtv,rth->vh", rounded, features)
    assert tiny.difference(gradient.table, table) < 1e-4  # some may be rounded the other way
    assert tiny.difference(gradient.bias, np.float64(of_scores).sum((0, 1))) < 1e-6


def test_no_more_than_a_chunk_is_stored():
    rows, tokens, width, vocabulary = 8, 256, 16, 2000
    student = Decoder(
        jnp.zeros((rows, tokens, width)), jnp.zeros((vocabulary, width)), jnp.zeros(vocabulary)
    )
    everywhere = dict.fromkeys(WHERE, jnp.ones((rows, tokens), bool))
    given = Given(student, jnp.zeros((rows, tokens), jnp.int32), everywhere)

    def memory(loss):
        used = graded(loss).lower(student, given).compile().memory_analysis()
        assert used is not None
        return used.temp_size_in_bytes

    assert memory(plain) > 2 * 4 * rows * tokens * vocabulary
    assert memory(partial(chunked, chunk=8)) < memory(plain) / 8
