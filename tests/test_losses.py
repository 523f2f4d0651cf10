import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.losses import cosine_distance, cross_entropy, distillation_kl, logit_mse, masked_sum

ROWS, LENGTH, VOCAB, HIDDEN = 4, 6, 301, 48


def normal(seed, *shape, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


STUDENT, TEACHER = (normal(seed, ROWS, LENGTH, VOCAB, scale=3) for seed in (0, 1))
HIDDEN_STUDENT, HIDDEN_TEACHER = (normal(seed, ROWS, LENGTH, HIDDEN) for seed in (2, 3))
LABELS = np.random.default_rng(4).integers(0, VOCAB, (ROWS, LENGTH)).astype(np.int32)
ATTENDED = np.arange(LENGTH) < np.array([6, 1, 4, 2])[:, None]


def kl(temperature):
    return lambda student, teacher: distillation_kl(student, teacher, temperature)


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


def mse64(student, teacher):
    difference = np.float64(student) - teacher
    return (difference**2).sum(-1), 2 * difference


def cosine64(a, b):
    a, b = np.float64(a), np.float64(b)
    aa, bb = ((x * x).sum(-1, keepdims=True) + 1e-12 for x in (a, b))
    cos = (a * b).sum(-1, keepdims=True) / np.sqrt(aa * bb)
    return (1 - cos)[..., 0], cos * a / aa - b / np.sqrt(aa * bb)


@pytest.mark.parametrize(
    ("loss", "expected", "inputs"),
    [
        pytest.param(cross_entropy, cross_entropy64, (STUDENT, LABELS), id="cross entropy"),
        pytest.param(kl(1.0), kl64(1.0), (STUDENT, TEACHER), id="kl, T 1"),
        pytest.param(kl(2.0), kl64(2.0), (STUDENT, TEACHER), id="kl, T 2"),
        pytest.param(kl(8.0), kl64(8.0), (STUDENT, TEACHER), id="kl, T 8"),
        pytest.param(logit_mse, mse64, (STUDENT, TEACHER), id="mse"),
        pytest.param(cosine_distance, cosine64, (HIDDEN_STUDENT, HIDDEN_TEACHER), id="cosine"),
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


@pytest.mark.parametrize("loss", [kl(2.0), logit_mse, cosine_distance])
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


def test_logits_far_from_zero_and_far_apart_are_no_trouble():
    logits = jnp.array([[1e4, 1e4 - 1, -1e4]])
    expected = np.log1p(np.exp(-1))
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([0])), expected, rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([2])), 2e4 + expected, rtol=1e-6)
    far = distillation_kl(-logits, logits, 2.0)
    gradient = jax.grad(lambda x: distillation_kl(x, logits, 2.0).sum())(-logits)
    assert jnp.isfinite(far).all() and jnp.isfinite(gradient).all()


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

    return {
        "cross_entropy": (functional.cross_entropy, cross_entropy, STUDENT, LABELS),
        "kl, T 1": (torch_kl(1.0), kl(1.0), STUDENT, TEACHER),
        "kl, T 2": (torch_kl(2.0), kl(2.0), STUDENT, TEACHER),
        "kl, T 8": (torch_kl(8.0), kl(8.0), STUDENT, TEACHER),
        "mse": (torch_mse, logit_mse, STUDENT, TEACHER),
        "cosine": (torch_cosine, cosine_distance, HIDDEN_STUDENT, HIDDEN_TEACHER),
    }


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name", ["cross_entropy", "kl, T 1", "kl, T 2", "kl, T 8", "mse", "cosine"]
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
