"""Controls of the teacher's answers: an untrained teacher, and answers to other rows."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from data.config import DataConfig
from data.masking import MaskingConfig
from model.errors import InputError
from tests import tiny
from train.config import DistillConfig
from train.objectives.distillation import DistillationObjective
from train.objectives.forward import of_other_rows
from train.objectives.objective import LossInputs
from train.objectives.terms import DistillationLoss
from train.update.step import split

UNMASKED = MaskingConfig(mask=0.0, keep=1.0, random=0.0, group_rows=tiny.GROUP_ROWS)
ROWS = 2 * tiny.GROUP_ROWS


def next_in_group(rows: int) -> np.ndarray:
    """The row after each in its group; after the last the first."""
    size = tiny.GROUP_ROWS
    return np.array([row // size * size + (row + 1) % size for row in range(rows)])


def test_every_row_moves_inside_its_group_with_its_borders():
    batch = {name: jnp.asarray(array[0]) for name, array in tiny.batch(rows=ROWS).items()}
    moved = of_other_rows(batch, tiny.GROUP_ROWS)
    assert set(moved) == {"input_ids", "attention_mask"}
    for name, array in moved.items():
        np.testing.assert_array_equal(array, batch[name][next_in_group(ROWS)])


@pytest.mark.long
@pytest.mark.parametrize("answers", ["untrained", "shuffled"])
def test_the_terms_are_those_of_the_other_answers(answers):
    student, teacher, untrained = (
        tiny.model(shape, seed)
        for seed, shape in enumerate([tiny.STUDENT, tiny.TEACHER, tiny.TEACHER])
    )
    (structure, params), (teacher_structure, teacher_params) = map(split, (student, teacher))
    terms = DistillationLoss().with_weights(ce=1.0, cos=1.0, mlm=1.0).terms()
    objective = DistillationObjective(
        structure, teacher_structure, UNMASKED, tiny.MASK_ID, terms, answers=answers
    )
    constants = {
        "teacher": teacher_params,
        "untrained": split(untrained)[1],
        "log_weights": jnp.asarray(tiny.log_weights()),
    }
    batch = objective.prepare(
        constants, jax.tree.map(jnp.asarray, tiny.batch(rows=ROWS)), jax.random.key(0)
    )
    batch = {name: array[0] for name, array in batch.items()}
    shares = dict.fromkeys(terms, 1.0)
    numbers = objective.numbers(jnp.float32(1))
    _, sums = objective.loss(LossInputs(params, constants, batch, None, numbers, shares))

    there = np.asarray(batch["attention_mask"])
    asked = next_in_group(ROWS) if answers == "shuffled" else np.arange(ROWS)
    ours = student(batch["input_ids"], batch["attention_mask"])
    other = untrained if answers == "untrained" else teacher
    theirs = other(batch["input_ids"][asked], batch["attention_mask"][asked])
    # Where the student has text: where the other row is shorter, the teacher reads padding there.
    a, b = (np.asarray(each.last_hidden, np.float64)[there] for each in (ours, theirs))
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    q, p = (log_softmax(np.asarray(o.logits, np.float64)[there] / 2, -1) for o in (ours, theirs))
    np.testing.assert_allclose(sums["cos"], np.sum(1 - cosine), rtol=1e-5)
    np.testing.assert_allclose(sums["ce"], 4 * np.sum(np.exp(p) * (p - q)), rtol=1e-5)
    own = DistillationObjective(structure, teacher_structure, UNMASKED, tiny.MASK_ID, terms)
    _, plain = own.loss(LossInputs(params, constants, batch, None, numbers, shares))
    np.testing.assert_allclose(sums["mlm"], plain["mlm"], rtol=1e-6)  # the text is the student's


def test_rows_that_are_masked_one_by_one_have_no_others():
    one = MaskingConfig(group_rows=1)
    with pytest.raises(InputError, match=r"--masking\.group-rows is 1: make it 2 or more"):
        DistillConfig(
            output=Path("run"),
            teacher="t",
            data=DataConfig(),
            batch_size=8,
            masking=one,
            answers="shuffled",
        )
