"""Held-out terms of a student whose masked-LM head does not learn."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.masking import MaskingConfig
from model.tasks import MaskedLM
from tests import tiny
from tests.small import build, call
from train.loop.heldout import term_sums
from train.loop.heldout_text import means
from train.objectives.distillation import DistillationObjective
from train.objectives.forward import AnswersOf
from train.objectives.terms import DistillationLoss
from train.update.step import split


@pytest.mark.parametrize("answers", get_args(AnswersOf))
def test_they_are_means_over_attended_tokens_without_dropout(answers):
    """And held-out text is compared with the teacher's own answers, whatever the student hears."""
    student = build(MaskedLM, tiny.STUDENT.replace(hidden_dropout=0.5))
    teacher = build(MaskedLM, tiny.TEACHER, seed=1)
    (structure, params), (teacher_structure, teacher_params) = map(split, (student, teacher))
    terms = DistillationLoss().with_weights(cos=1.0, hidden=3.0).terms()
    unmasked = MaskingConfig(mask=0.0, keep=1.0, random=0.0, group_rows=2)
    objective = DistillationObjective(
        structure, teacher_structure, unmasked, tiny.MASK_ID, terms, answers=answers
    )
    constants = {"teacher": teacher_params, "log_weights": jnp.asarray(tiny.log_weights())}
    batch = {name: array[0] for name, array in tiny.batch(rows=4).items()}
    found = means(jax.jit(term_sums(objective))(params, constants, batch))

    ids, attended = batch["input_ids"], batch["attention_mask"]
    a, b = (
        np.asarray(call(model.backbone, ids, attended).last_hidden, np.float64)[attended]
        for model in (student, teacher)
    )
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    expected = {"heldout_cos": np.mean(1 - cosine), "heldout_hidden": np.mean((a - b) ** 2)}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)
