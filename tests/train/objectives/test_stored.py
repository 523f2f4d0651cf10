"""Stored answers in the place of the teacher: the same losses and gradients, or a refusal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.masking import MaskingConfig
from model.errors import InputError
from tests import tiny
from train.objectives.distillation import DistillationObjective
from train.objectives.objective import LossInputs
from train.objectives.stored import check_stored, stored_columns, to_store
from train.objectives.terms import DistillationLoss, HiddenError
from train.update.step import split

ROWS = 4
MASKING = MaskingConfig(group_rows=1)
SERVED = DistillationLoss().with_weights(ce=5.0, mlm=2.0, cos=1.0, mse=0.1, cka=1.0)


@pytest.fixture(scope="module")
def losses():
    """Loss, terms and gradient: of the live teacher, and of its answers stored in each type."""
    student, teacher = tiny.model(), tiny.model(tiny.TEACHER, seed=1)
    (structure, params), (teacher_structure, teacher_params) = map(split, (student, teacher))
    constants = {"log_weights": jnp.asarray(tiny.log_weights()), "teacher": teacher_params}
    live, stored = (
        DistillationObjective(
            structure, teacher_structure, MASKING, tiny.MASK_ID, SERVED.terms(), stored=stored
        )
        for stored in (False, True)
    )
    batch = tiny.batch(rows=ROWS)
    empty = {"teacher_hidden": np.zeros((1, ROWS, tiny.LENGTH, 16), np.float32)}
    masked = stored.prepare(constants, jax.tree.map(jnp.asarray, batch | empty), jax.random.key(0))
    masked = {name: array[0] for name, array in masked.items()}

    def of(objective):
        def loss(params, constants, batch):
            numbers, shares = objective.numbers(jnp.float32(1)), dict.fromkeys(SERVED.terms(), 1.0)
            return objective.loss(LossInputs(params, constants, batch, None, numbers, shares))

        return jax.jit(jax.value_and_grad(loss, has_aux=True))

    found = {"live": of(live)(params, constants, masked)}
    # The head is all that a stored run may look at.
    zeros = jax.tree.map(jnp.zeros_like, teacher_params["backbone"]["encoder"])
    blind = teacher_params | {"backbone": teacher_params["backbone"] | {"encoder": zeros}}
    of_stored = of(stored)
    for dtype in ("float32", "bfloat16"):
        [(name, answers)] = to_store(teacher, masked, stored_columns(tiny.TEACHER, dtype)).items()
        batch = masked | {name: answers.astype(jnp.float32)}
        found[dtype] = of_stored(params, constants | {"teacher": blind}, batch)
    return jax.device_get(found)


@pytest.mark.long
def test_stored_in_float32_all_terms_and_the_gradient_are_those_of_the_teacher(losses):
    ((loss, terms), gradient), ((own, own_terms), own_gradient) = losses["float32"], losses["live"]
    np.testing.assert_allclose(loss, own, rtol=1e-6)
    for name in SERVED.terms():
        np.testing.assert_allclose(terms[name], own_terms[name], rtol=1e-6, err_msg=name)
    assert tiny.difference(gradient, own_gradient) < 1e-6


@pytest.mark.long
def test_bfloat16_rounds_hidden_states_to_eight_bits(losses):
    """Roundings are up and down: the loss changes by less than each, the gradient by as much."""
    ((loss, _), gradient), ((own, _), own_gradient) = losses["bfloat16"], losses["live"]
    assert 0 < abs(loss / own - 1) < 2**-9
    assert 1e-4 < tiny.difference(gradient, own_gradient) < 2**-7


def test_the_masks_of_a_row_depend_on_its_number_alone():
    structure = split(tiny.model())[0]
    objective = DistillationObjective(
        structure, structure, MASKING, tiny.MASK_ID, SERVED.terms(), stored=True
    )
    prepare = jax.jit(objective.prepare)
    constants = {"log_weights": jnp.asarray(tiny.log_weights())}
    batch = tiny.batch(rows=ROWS)
    batch["teacher_hidden"] = np.zeros((1, ROWS, tiny.LENGTH, 16), np.float32)

    def masked(rows, key):
        part = {name: jnp.asarray(array[:, rows]) for name, array in batch.items()}
        return np.asarray(prepare(constants, part, jax.random.key(key))["input_ids"][0])

    whole = masked([0, 1, 2, 3], 0)
    np.testing.assert_array_equal(masked([2, 0, 3, 1], 1), whole[[2, 0, 3, 1]])
    batch["row"] = batch["row"] + ROWS  # under another set of masks
    assert (masked([0, 1, 2, 3], 0) != whole).any(axis=1).all()


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (
            DistillationLoss(hidden=HiddenError(layers="uniform")).with_weights(hidden=1.0),
            r"--loss\.hidden\.layers uniform compares other layers, and --teacher-cache keeps",
        ),
        (DistillationLoss().with_weights(embeddings=1.0), r"--loss\.embeddings compares more"),
        (DistillationLoss().with_weights(attention=1.0), r"--loss\.attention compares more"),
        (DistillationLoss().with_weights(relations=1.0), r"--loss\.relations compares more"),
    ],
)
def test_terms_that_need_more_of_the_teacher_are_refused(loss, sentence):
    with pytest.raises(InputError, match=sentence):
        check_stored(loss, tiny.TEACHER, tiny.TEACHER)
    check_stored(SERVED, tiny.STUDENT, tiny.TEACHER)
