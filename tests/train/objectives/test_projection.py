"""A student narrower than its teacher."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.errors import InputError
from model.student import student_from_teacher
from model.tasks import MaskedLM
from tests import tiny
from tests.small import call
from train.config import StudentConfig
from train.distill import check_terms, exported, initial_student
from train.objectives.distillation import DistillationObjective
from train.objectives.objective import LossInputs
from train.objectives.projection import LiftedStudent, student_of
from train.objectives.terms import DistillationLoss, HiddenError, Relations
from train.recipes import distill as recipes_distill

LOSS = DistillationLoss(
    hidden=HiddenError(weight=1.0, layers="0:0"),
    relations=Relations(layers="0:0"),
).with_weights(ce=1.0, mlm=1.0, cos=1.0, hidden=1.0, embeddings=1.0, relations=1.0)
SAME_WIDTH = {"cos", "hidden", "embeddings"}


@pytest.fixture(scope="module")
def teacher():
    return tiny.model(tiny.TEACHER, seed=1)


@pytest.fixture(scope="module")
def trained(teacher):
    """Half as wide, with half the heads."""
    student = student_from_teacher(
        teacher, layers="random", hidden_size=8, num_heads=1, rngs=nnx.Rngs(0)
    )
    return LiftedStudent(student, 16, rngs=nnx.Rngs(1))


@pytest.fixture(scope="module")
def compared(teacher, trained):
    """The masked batch; every term's mean; the gradient of each."""
    objective = DistillationObjective(
        nnx.graphdef(trained), nnx.graphdef(teacher), tiny.MASKING, tiny.MASK_ID, LOSS.terms()
    )
    constants = {
        "teacher": nnx.to_pure_dict(nnx.state(teacher)),
        "log_weights": jnp.asarray(tiny.log_weights()),
    }
    batch = jax.tree.map(jnp.asarray, tiny.batch(rows=4))

    masked = objective.prepare(constants, batch, jax.random.key(0))
    masked = jax.tree.map(lambda array: array[0], masked)
    counts = {n: jnp.sum(w, dtype=jnp.float32) for n, w in objective.where(masked).items()}

    def mean(params, name):
        shares = {other: float(other == name) / count for other, count in counts.items()}
        numbers = objective.numbers(jnp.float32(0))
        return objective.loss(LossInputs(params, constants, masked, None, numbers, shares))[0]

    params = nnx.to_pure_dict(nnx.state(trained))
    each = {
        name: jax.jit(jax.value_and_grad(lambda p, name=name: mean(p, name)))(params)
        for name in counts
    }
    values, gradients = ({name: pair[i] for name, pair in each.items()} for i in (0, 1))
    return jax.device_get((masked, values, gradients))


@pytest.mark.long
def test_hidden_states_are_compared_at_the_teachers_width(teacher, trained, compared):
    masked, values, _ = compared
    ids, attended = masked["input_ids"], masked["attention_mask"]
    ours, theirs = (
        call(model.backbone, ids, attended, outputs=("hidden_states",)).hidden_states
        for model in (trained.student, teacher)
    )
    kernel, bias = (np.float64(part[...]) for part in (trained.lift.kernel, trained.lift.bias))
    lifted = [np.asarray(x[attended], np.float64) @ kernel + bias for x in ours]
    theirs = [np.float64(x[attended]) for x in theirs]
    assert lifted[0].shape == theirs[0].shape == (int(attended.sum()), 16)

    def cosine(a, b):
        return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)

    expected = {
        "cos": np.mean(1 - cosine(lifted[-1], theirs[-1])),
        "hidden": np.mean((lifted[1] - theirs[1]) ** 2),
        "embeddings": np.mean((lifted[0] - theirs[0]) ** 2),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=2e-6, err_msg=name)


def norm(tree):
    return float(np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(tree))))


@pytest.mark.long
def test_the_lift_learns_from_what_it_lifts_and_from_nothing_else(compared):
    *_, gradients = compared
    assert set(gradients) == SAME_WIDTH | {"ce", "mlm", "relations"}
    for name, gradient in gradients.items():
        assert (norm(gradient["lift"]["kernel"]) > 1e-3) is (name in SAME_WIDTH), name
        assert (norm(gradient["lift"]["bias"]) > 1e-3) is (name in SAME_WIDTH), name
        # The student learns from all of them, through the lift or without it.
        assert norm(gradient["student"]["backbone"]["embeddings"]) > 1e-4, name


def config(loss, **student):
    student = StudentConfig(layers="random", **student)
    return replace(recipes_distill.distill_tiny(), student=student, loss=loss)


@pytest.mark.parametrize(
    ("loss", "student", "lifted"),
    [
        (DistillationLoss(), {"hidden_size": 8}, True),
        (DistillationLoss().with_weights(embeddings=(0.0, 1.0)), {"hidden_size": 8}, True),
        (DistillationLoss().with_weights(ce=1.0, relations=1.0), {"hidden_size": 8}, False),
        (DistillationLoss(), {"num_heads": 4}, False),
    ],
)
def test_a_student_is_lifted_where_something_needs_it(teacher, loss, student, lifted):
    trained = nnx.eval_shape(lambda: initial_student(teacher, config(loss, **student)))
    assert type(student_of(trained)) is MaskedLM
    assert isinstance(trained, LiftedStudent) is lifted
    if isinstance(trained, LiftedStudent):
        assert trained.lift.kernel.shape == (8, 16)


@pytest.mark.parametrize(("weights", "vocabulary"), [({"ce": 1.0}, True), ({"cos": 1.0}, False)])
def test_what_is_exported_has_no_lift(teacher, trained, weights, vocabulary):
    objective = DistillationObjective(
        nnx.graphdef(trained),
        nnx.graphdef(teacher),
        tiny.MASKING,
        tiny.MASK_ID,
        DistillationLoss().with_weights(**weights).terms(),
    )
    # Without its head where that has learned nothing.
    expected = trained.student if vocabulary else trained.student.backbone
    assert exported(objective)(trained) is expected


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "all weights of --loss are 0: give at least one term a weight"),
        ({"attention": 1.0}, "--loss.attention: the student has 1 attention heads and the teacher"),
    ],
    ids=str,
)
def test_a_loss_that_does_not_fit_the_models(teacher, trained, weights, message):
    loss = DistillationLoss().with_weights(**weights)
    with pytest.raises(InputError, match=re.escape(message)):
        check_terms(loss, trained.student.config, teacher.config)


def test_relations_and_hidden_states_fit_models_of_any_shape(teacher, trained):
    check_terms(LOSS, trained.student.config, teacher.config)
