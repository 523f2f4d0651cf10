from decimal import Decimal, localcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.objectives.losses import (
    cosine_distance,
    cross_entropy,
    distillation_kl,
    logit_mse,
    masked_sum,
    normalised_squared_error,
    relation_kl,
    score_error,
    squared_error,
)

ROWS, LENGTH, VOCAB, HIDDEN = 4, 6, 301, 48


def normal(seed, *shape, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


STUDENT, TEACHER = (normal(seed, ROWS, LENGTH, VOCAB, scale=3) for seed in (0, 1))
HIDDEN_STUDENT, HIDDEN_TEACHER = (normal(seed, ROWS, LENGTH, HIDDEN) for seed in (2, 3))
HIDDENS = HIDDEN_STUDENT, HIDDEN_TEACHER
LABELS = np.random.default_rng(4).integers(0, VOCAB, (ROWS, LENGTH)).astype(np.int32)
ATTENDED = np.arange(LENGTH) < np.array([6, 1, 4, 2])[:, None]


def kl(temperature):
    return lambda student, teacher: distillation_kl(student, teacher, temperature)


def reverse_kl(student, teacher):
    return distillation_kl(teacher, student, 2.0)


def relative_error(actual, expected):
    return np.linalg.norm(np.asarray(actual) - expected) / np.linalg.norm(expected)


# Values and gradients as they are written down, in float64


def softmax64(x, temperature=1.0):
    exp = np.exp(np.float64(x) / temperature)
    return exp / exp.sum(-1, keepdims=True)


def cross_entropy64(logits, labels):
    p, truth = softmax64(logits), np.eye(VOCAB)[labels]
    return -np.log((p * truth).sum(-1)), p - truth


def kl64(temperature):
    def value_and_gradient(student, teacher):
        p, q = softmax64(teacher, temperature), softmax64(student, temperature)
        return temperature**2 * (p * np.log(p / q)).sum(-1), temperature * (q - p)

    return value_and_gradient


def reverse_kl64(student, teacher):
    p, q = softmax64(teacher, 2.0), softmax64(student, 2.0)
    kl = (q * np.log(q / p)).sum(-1, keepdims=True)
    return 4 * kl[..., 0], 2 * q * (np.log(q / p) - kl)


def mse64(student, teacher):
    difference = np.float64(student) - teacher
    return (difference**2).sum(-1), 2 * difference


def cosine64(a, b):
    a, b = np.float64(a), np.float64(b)
    aa, bb = ((x * x).sum(-1, keepdims=True) + 1e-12 for x in (a, b))
    cos = (a * b).sum(-1, keepdims=True) / np.sqrt(aa * bb)
    return (1 - cos)[..., 0], cos * a / aa - b / np.sqrt(aa * bb)


def squared64(a, b):
    difference = np.float64(a) - b
    return (difference**2).mean(-1), 2 * difference / HIDDEN


def normalised64(a, b):
    size, other = (np.linalg.norm(np.float64(x), axis=-1, keepdims=True) for x in (a, b))
    u, v = a / size, b / other
    return ((u - v) ** 2).sum(-1), 2 * (u * (u * v).sum(-1, keepdims=True) - v) / size


@pytest.mark.long
@pytest.mark.parametrize(
    ("loss", "expected", "inputs"),
    [
        pytest.param(cross_entropy, cross_entropy64, (STUDENT, LABELS), id="cross entropy"),
        pytest.param(kl(1.0), kl64(1.0), (STUDENT, TEACHER), id="kl, T 1"),
        pytest.param(kl(2.0), kl64(2.0), (STUDENT, TEACHER), id="kl, T 2"),
        pytest.param(kl(8.0), kl64(8.0), (STUDENT, TEACHER), id="kl, T 8"),
        pytest.param(logit_mse, mse64, (STUDENT, TEACHER), id="mse"),
        pytest.param(reverse_kl, reverse_kl64, (STUDENT, TEACHER), id="reverse kl"),
        pytest.param(cosine_distance, cosine64, HIDDENS, id="cosine"),
        pytest.param(squared_error, squared64, HIDDENS, id="squared"),
        pytest.param(normalised_squared_error, normalised64, HIDDENS, id="normalised"),
    ],
)
def test_value_and_gradient_are_the_formula_at_every_position(loss, expected, inputs):
    student, target = map(jnp.asarray, inputs)
    value, gradient = expected(*inputs)
    actual = jax.jit(loss)(student, target)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, value, rtol=1e-6)
    assert relative_error(jax.grad(lambda x: loss(x, target).sum())(student), gradient) < 1e-6
    # One position alone: no leading axes.
    np.testing.assert_allclose(loss(student[0, 0], target[0, 0]), value[0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    "loss", [kl(2.0), logit_mse, cosine_distance, squared_error, normalised_squared_error]
)
def test_bfloat16_inputs_lose_nothing_more(loss):
    student, teacher = (jnp.asarray(x, jnp.bfloat16) for x in (STUDENT, TEACHER))
    exact = loss(student.astype(jnp.float32), teacher.astype(jnp.float32))
    assert loss(student, teacher).dtype == jnp.float32
    np.testing.assert_array_equal(loss(student, teacher), exact)


def test_cross_entropy_of_bfloat16_logits_loses_nothing_more():
    logits = jnp.asarray(STUDENT, jnp.bfloat16)
    exact = cross_entropy(logits.astype(jnp.float32), jnp.asarray(LABELS))
    np.testing.assert_array_equal(cross_entropy(logits, jnp.asarray(LABELS)), exact)


# What is true of each


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    loss = cross_entropy(jnp.zeros((3, 7)), jnp.array([0, 3, 6]))
    np.testing.assert_allclose(loss, np.log(7), rtol=1e-6)


@pytest.mark.long
def test_logits_far_from_zero_and_far_apart_are_no_trouble():
    logits = jnp.array([[1e4, 1e4 - 1, -1e4]])
    expected = np.log1p(np.exp(-1))
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0])), expected, rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([2])), 2e4 + expected, rtol=1e-6)
    far = distillation_kl(-logits, logits, 2.0)
    gradient = jax.grad(lambda x: distillation_kl(x, logits, 2.0).sum())(-logits)
    assert jnp.isfinite(far).all() and jnp.isfinite(gradient).all()


def exact_kl(student, teacher, temperature):
    """Value and both gradients at one position in 50 digits, of which float64 would cancel 16."""
    with localcontext(prec=50):
        t = Decimal(float(np.float32(temperature)))

        def softmax(logits):
            exp = [(Decimal(float(x)) / t).exp() for x in logits]
            return [x / sum(exp) for x in exp]

        p, q = softmax(teacher), softmax(student)
        logs = [(a / b).ln() for a, b in zip(p, q, strict=True)]
        kl = sum(a * log for a, log in zip(p, logs, strict=True))
        by_student = [t * (b - a) for a, b in zip(p, q, strict=True)]
        by_teacher = [t * a * (log - kl) for a, log in zip(p, logs, strict=True)]
        return float(t * t * kl), np.array([by_student, by_teacher], np.float64)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 2.0, 8.0, 1e4, 1e8])
def test_kl_has_all_digits_at_every_temperature(temperature):
    """Random, close and peaked scores; a constant added to all costs digits of the scores alone."""
    random, half = normal(7, 3, 20, scale=3), normal(8, 3, 20, scale=0.5)
    teacher = np.concatenate([random, random, 5 * random, random])
    student = teacher + np.concatenate([6 * half, 0.2 * half, 4 * half, 0.2 * half])
    student[-3:] = np.round(student[-3:] * 1024) / 1024 + 8
    teacher[-3:] = np.round(teacher[-3:] * 1024) / 1024

    def losses(student, teacher):
        loss = distillation_kl(student, teacher, temperature)
        return jnp.sum(loss), loss

    run = jax.jit(jax.grad(losses, argnums=(0, 1), has_aux=True))
    *gradients, values = *run(student, teacher)[0], run(student, teacher)[1]
    # At T = 0.1 scores are up to 450, known to 3e-5 in float32. A loss may be smaller than T^2
    # times the square of that.
    cold = min(temperature, 1.0)
    rtol, floor = 1e-5 / cold, (1e-11, 1e-7 if cold == 1 else 5e-7)
    for n, value in enumerate(values):
        exact, by_each = exact_kl(student[n], teacher[n], temperature)
        np.testing.assert_allclose(value, exact, rtol=rtol, atol=floor[0])
        for gradient, expected in zip(gradients, by_each, strict=True):
            error = np.linalg.norm(gradient[n] - expected)
            assert error < rtol * np.linalg.norm(expected) + floor[1]


def test_kl_by_the_temperature():
    """Against central differences in float64."""
    step, inputs = 1e-4, (jnp.asarray(STUDENT), jnp.asarray(TEACHER))
    by_temperature = jax.grad(lambda t: kl(t)(*inputs).sum())(2.0)
    ahead, behind = (kl64(2.0 + sign * step)(STUDENT, TEACHER)[0].sum() for sign in (1, -1))
    np.testing.assert_allclose(by_temperature, (ahead - behind) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_student_close_to_its_teacher_gets_an_exact_kl(temperature):
    # Half the variance of the difference, but for terms of third order; without care 1e-4 is lost.
    teacher = normal(5, 8, 3000, scale=3)
    student = teacher + normal(6, 8, 3000, scale=0.1)
    loss = distillation_kl(jnp.asarray(student), jnp.asarray(teacher), temperature)
    np.testing.assert_allclose(loss, kl64(temperature)(student, teacher)[0], rtol=2e-5)


def test_kl_of_equal_logits_is_zero_and_a_constant_changes_nothing():
    # In sixteenths, so that adding the constant does not round.
    student, teacher = (jnp.round(jnp.asarray(x) * 16) / 16 for x in (STUDENT, TEACHER))
    np.testing.assert_array_equal(distillation_kl(teacher, teacher, 2.0), 0)
    loss = distillation_kl(student, teacher, 2.0)
    np.testing.assert_array_equal(distillation_kl(student + 5, teacher - 3, 2.0), loss)


def test_cosine_is_blind_to_scale_and_counts_eps_inside_the_product():
    a = jnp.asarray(HIDDEN_STUDENT)
    np.testing.assert_allclose(cosine_distance(a, 3 * a), 0, atol=3e-7)
    np.testing.assert_allclose(cosine_distance(a, -a), 2, rtol=1e-6)
    # Squared norms of 1e-12 meet an eps of 1e-12: a half.
    small = jnp.array([1e-6, 0.0])
    np.testing.assert_allclose(cosine_distance(small, small), 0.5, rtol=1e-6)


def test_cosine_of_zeros_is_one_with_a_finite_gradient():
    zero = jnp.zeros((2, 3))
    value, gradient = jax.value_and_grad(lambda a: cosine_distance(a, zero).sum())(zero)
    assert value == 2 and (gradient == 0).all()


@pytest.mark.parametrize("loss", [reverse_kl, squared_error, normalised_squared_error])
def test_a_student_like_its_teacher_loses_nothing_and_has_nothing_to_learn(loss):
    a = jnp.asarray(HIDDEN_STUDENT)
    value, gradient = jax.value_and_grad(lambda x: loss(x, a).sum())(a)
    np.testing.assert_allclose(value, 0, atol=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)


# Attention: every value needs a whole row, so padding has to be left out inside the loss

ATTENTION_HEADS, RELATION_HEADS = 2, 4
PAIRS = ATTENDED[:, :, None] & ATTENDED[:, None, :]
SCORES = tuple(normal(seed, ROWS, ATTENTION_HEADS, LENGTH, LENGTH) for seed in (8, 9))
VECTORS = normal(10, ROWS, LENGTH, 8), normal(11, ROWS, LENGTH, 12)


def scores_loss(student, teacher):
    return score_error(student, teacher, jnp.asarray(PAIRS))


def relations_loss(student, teacher):
    return relation_kl(student, teacher, jnp.asarray(PAIRS), RELATION_HEADS)


def scores64(student, teacher):
    value = np.zeros((ROWS, LENGTH))
    for row, n in enumerate(ATTENDED.sum(1)):
        difference = np.float64(student[row, :, :n, :n]) - teacher[row, :, :n, :n]
        value[row, :n] = (difference**2).mean((0, 2))
    return value


def relations64(student, teacher):
    def relation(x, head):
        x = np.split(np.float64(x), RELATION_HEADS, axis=-1)[head]
        return softmax64(x @ x.T / np.sqrt(x.shape[-1]))

    value = np.zeros((ROWS, LENGTH))
    for row, n in enumerate(ATTENDED.sum(1)):
        for head in range(RELATION_HEADS):
            p, q = relation(teacher[row, :n], head), relation(student[row, :n], head)
            value[row, :n] += (p * np.log(p / q)).sum(-1) / RELATION_HEADS
    return value


def numeric_gradient(function, x):
    """Central differences in float64."""
    x = np.float64(x)
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-5
        gradient[place] = (function(x + step) - function(x - step)) / 2e-5
    return gradient


ATTENTION = pytest.mark.parametrize(
    ("loss", "expected", "inputs"),
    [
        pytest.param(scores_loss, scores64, SCORES, id="scores"),
        pytest.param(relations_loss, relations64, VECTORS, id="relations"),
    ],
)
# Every position has a weight of its own, so that none can stand in for another.
WEIGHTS = np.where(ATTENDED, normal(12, ROWS, LENGTH), 0).astype(np.float32)


def attended_value_and_gradient(loss, student, teacher):
    def weighted(x):
        value = loss(x, jnp.asarray(teacher))
        return jnp.sum(value * WEIGHTS, where=jnp.asarray(ATTENDED)), value

    gradient, value = jax.jit(jax.grad(weighted, has_aux=True))(jnp.asarray(student))
    return np.asarray(value)[ATTENDED], np.asarray(gradient)


@ATTENTION
def test_value_and_gradient_of_attention_are_the_formula(loss, expected, inputs):
    student, teacher = inputs
    value, gradient = attended_value_and_gradient(loss, student, teacher)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value, expected(student, teacher)[ATTENDED], rtol=2e-6)
    numeric = numeric_gradient(lambda x: (expected(x, teacher) * WEIGHTS).sum(), student)
    assert relative_error(gradient, numeric) < 1e-6


@pytest.mark.parametrize("bad", [1e3, np.nan, np.inf])
@ATTENTION
def test_padding_reaches_neither_the_value_nor_the_gradient_of_attention(
    loss, expected, inputs, bad
):
    kept = PAIRS[:, None] if inputs is SCORES else ATTENDED[..., None]
    spoilt = [np.where(kept, x, bad).astype(np.float32) for x in inputs]
    value, gradient = attended_value_and_gradient(loss, *inputs)
    other_value, other_gradient = attended_value_and_gradient(loss, *spoilt)
    np.testing.assert_array_equal(other_value, value)
    np.testing.assert_array_equal(other_gradient, gradient)
    np.testing.assert_array_equal(np.where(kept, 0, gradient), 0)


@ATTENTION
def test_attention_like_the_teachers_loses_nothing_and_has_nothing_to_learn(loss, expected, inputs):
    value, gradient = attended_value_and_gradient(loss, inputs[0], inputs[0])
    np.testing.assert_allclose(value, 0, atol=1e-7)
    np.testing.assert_allclose(gradient, 0, atol=1e-7)


def test_a_row_of_padding_alone_is_no_trouble():
    nobody = jnp.zeros((ROWS, LENGTH, LENGTH), bool)
    for loss, inputs in (
        (lambda s, t: score_error(s, t, nobody), SCORES),
        (lambda s, t: relation_kl(s, t, nobody, RELATION_HEADS), VECTORS),
    ):
        student, teacher = map(jnp.asarray, inputs)
        value_and_gradient = jax.jit(jax.value_and_grad(lambda *x, f=loss: f(*x).sum()))
        value, gradient = value_and_gradient(student, teacher)
        assert value == 0 and (gradient == 0).all()


def test_relations_bridge_widths():
    # Zeros between the heads' numbers, and a scale that makes up for the larger sqrt(d).
    student, teacher = (jnp.asarray(x) for x in VECTORS)
    heads = student.reshape(ROWS, LENGTH, RELATION_HEADS, -1)
    wider = jnp.pad(heads, [(0, 0)] * 3 + [(0, 2)]).reshape(ROWS, LENGTH, -1) * 2**0.25
    np.testing.assert_allclose(relations_loss(student, wider), 0, atol=1e-6)
    expected = relations_loss(student, teacher)
    np.testing.assert_allclose(relations_loss(wider, teacher), expected, rtol=1e-5, atol=1e-6)


# Reduction


def test_the_masked_sum_is_the_sum_of_what_is_left():
    values = normal(7, ROWS, LENGTH)
    total, count = masked_sum(jnp.asarray(values), jnp.asarray(ATTENDED))
    assert total.dtype == count.dtype == jnp.float32
    np.testing.assert_allclose(total, np.float64(values[ATTENDED]).sum(), rtol=1e-6)
    assert count == 6 + 1 + 4 + 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_left_out_reaches_neither_the_sum_nor_the_gradient(bad):
    values = normal(7, ROWS, LENGTH)
    spoilt = np.where(ATTENDED, values, bad).astype(np.float32)
    where = jnp.asarray(ATTENDED)
    value_and_gradient = jax.value_and_grad(lambda x: masked_sum(x, where)[0])
    total, gradient = value_and_gradient(jnp.asarray(spoilt))
    assert total == value_and_gradient(jnp.asarray(values))[0]
    np.testing.assert_array_equal(gradient, ATTENDED.astype(np.float32))


def test_nothing_left_is_zero_of_zero():
    total, count = masked_sum(jnp.full((2, 3), jnp.nan), jnp.zeros((2, 3), bool))
    assert total == 0 and count == 0


def test_parts_of_a_batch_add_up():
    values, where = jnp.asarray(normal(7, ROWS, LENGTH)), jnp.asarray(ATTENDED)
    whole = masked_sum(values, where)
    parts = jax.vmap(masked_sum)(values, where)
    np.testing.assert_allclose([x.sum() for x in parts], whole, rtol=1e-6)


def test_bfloat16_values_are_summed_in_float32():
    # In bfloat16 the sum of ones stands still at 256.
    total, count = masked_sum(jnp.ones(1000, jnp.bfloat16), jnp.ones(1000, bool))
    assert total == count == 1000


# PyTorch, as the original calls it: on the attended positions, flattened


def torch_losses(torch):
    functional = torch.nn.functional

    def torch_kl(temperature):
        def loss(student, teacher):
            log_q = functional.log_softmax(student / temperature, dim=-1)
            p = functional.softmax(teacher / temperature, dim=-1)
            return functional.kl_div(log_q, p, reduction="batchmean") * temperature**2

        return loss

    def torch_mse(student, teacher):
        return functional.mse_loss(student, teacher, reduction="sum") / len(student)

    def torch_cosine(student, teacher):
        target = torch.ones(len(student))
        return torch.nn.CosineEmbeddingLoss(reduction="mean")(student, teacher, target)

    def torch_reverse(student, teacher):
        return torch_kl(2.0)(teacher, student)

    def torch_normalised(student, teacher):  # Patient KD, but for the mean over the width
        unit = functional.normalize(student, dim=-1), functional.normalize(teacher, dim=-1)
        return functional.mse_loss(*unit) * student.shape[-1]

    return {
        "cross_entropy": (functional.cross_entropy, cross_entropy, STUDENT, LABELS),
        "kl, T 1": (torch_kl(1.0), kl(1.0), STUDENT, TEACHER),
        "kl, T 2": (torch_kl(2.0), kl(2.0), STUDENT, TEACHER),
        "kl, T 8": (torch_kl(8.0), kl(8.0), STUDENT, TEACHER),
        "mse": (torch_mse, logit_mse, STUDENT, TEACHER),
        "reverse kl": (torch_reverse, reverse_kl, STUDENT, TEACHER),
        "cosine": (torch_cosine, cosine_distance, *HIDDENS),
        "squared": (functional.mse_loss, squared_error, *HIDDENS),
        "normalised": (torch_normalised, normalised_squared_error, *HIDDENS),
    }


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name",
    [
        *("cross_entropy", "kl, T 1", "kl, T 2", "kl, T 8", "mse"),
        *("reverse kl", "cosine", "squared", "normalised"),
    ],
)
def test_means_over_attended_positions_are_those_of_torch(name, dtype):
    torch = pytest.importorskip("torch")
    reference, loss, student, target = torch_losses(torch)[name]

    def mean(x):
        total, count = masked_sum(loss(x, jnp.asarray(target)), jnp.asarray(ATTENDED))
        return total / count

    value, gradient = jax.value_and_grad(mean)(jnp.asarray(student))

    x = torch.tensor(student, dtype=getattr(torch, dtype), requires_grad=True)
    y = torch.tensor(target)
    y = y.long() if target is LABELS else y.to(x.dtype)
    kept = torch.tensor(ATTENDED)
    expected = reference(x[kept], y[kept])
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-6)
    assert relative_error(gradient, x.grad.numpy()) < 1e-6


def torch_scores(torch, student, teacher):
    """TinyBERT's: the mask is added to the scores, and what it has reached is set to zero."""
    mask = (1 - torch.tensor(ATTENDED, dtype=student.dtype))[:, None, None, :] * -10000.0
    ours, theirs = (torch.where(x + mask <= -1e2, 0.0, x + mask) for x in (student, teacher))
    total = torch.nn.functional.mse_loss(ours, theirs, reduction="none").sum((1, 3))
    # Its mean is over all places; ours over those that are not set to zero.
    return total / (ATTENTION_HEADS * torch.tensor(ATTENDED).sum(1, keepdim=True))


def torch_relations(torch, student, teacher):
    """MiniLMv2's: attention of queries (or keys, or values) to themselves, in relation heads."""
    mask = (1 - torch.tensor(ATTENDED, dtype=student.dtype))[:, None, None, :] * -10000.0

    def relation(x):
        x = x.view(ROWS, LENGTH, RELATION_HEADS, -1).transpose(1, 2)
        scores = x @ x.transpose(-1, -2) / x.shape[-1] ** 0.5
        return torch.nn.functional.log_softmax(scores + mask, dim=-1)

    kl = torch.nn.functional.kl_div(
        relation(student), relation(teacher), reduction="none", log_target=True
    )
    return kl.sum(-1).mean(1)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("loss", "reference", "inputs"),
    [
        pytest.param(scores_loss, torch_scores, SCORES, id="scores"),
        pytest.param(relations_loss, torch_relations, VECTORS, id="relations"),
    ],
)
def test_attention_is_compared_as_in_torch(loss, reference, inputs):
    torch = pytest.importorskip("torch")
    value, gradient = attended_value_and_gradient(loss, *inputs)
    student, teacher = (torch.tensor(x, dtype=torch.float64) for x in inputs)
    student.requires_grad_()
    expected = reference(torch, student, teacher)
    (expected * torch.tensor(WEIGHTS)).sum().backward()
    np.testing.assert_allclose(value, expected.detach().numpy()[ATTENDED], rtol=2e-6)
    assert relative_error(gradient, student.grad.numpy()) < 1e-6
