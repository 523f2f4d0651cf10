"""Texts that share rows have the losses and gradients that they have in rows of their own."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.cutting import Cut
from data.packing import pack
from data.sequences import Sequences
from tests import tiny
from tests.train.studies.test_stack import BASE, stacks_of
from tests.train.update.test_step import GRADIENTS, KEYS
from tests.train.update.test_step import LOSS as MOST_TERMS
from train.distill import frozen
from train.objectives.distillation import DistillationObjective, MaskedLMObjective
from train.objectives.objective import LossInputs
from train.objectives.terms import HiddenProcrustes, ReverseKL
from train.studies.stack import make_stacked_step, stacked_state, unstacked
from train.update.optimizer import make_optimizer
from train.update.parallel import Mode, Parallel, ParallelConfig
from train.update.step import init_state, make_step, split

LENGTHS = np.array([5, 3, 8, 6, 9, 4, 12, 7, 16, 4])
PREDICTED = [1, 6, 9, 17, 20, 21, 33, 40, 58, 70]  # of the tokens counted through all texts, from 1
LOSS = replace(
    MOST_TERMS, reverse_kl=ReverseKL(weight=0.5), procrustes=HiddenProcrustes(weight=0.5)
)


def sequences(cut: Cut) -> Sequences:
    starts = None if cut.texts is None else np.cumsum(cut.texts) - cut.texts
    offsets = np.concatenate([[0], np.cumsum(cut.lengths)])
    counts = np.zeros(1, np.int64)
    return Sequences(cut.tokens, offsets, counts, tiny.LENGTH, "", {}, starts)


@cache
def rows(shared: bool) -> dict[str, np.ndarray]:
    """All texts as a batch; in place of its token's id every place has its number, 0 at padding."""
    cut = Cut(np.arange(1, LENGTHS.sum() + 1, dtype=np.uint32), LENGTHS)
    if shared:
        (cut,) = pack([cut], tiny.LENGTH)
    made = sequences(cut)
    return made.gather(np.arange(len(made)), 0)


def batch(shared: bool) -> dict[str, jax.Array]:
    """The same with the tokens `PREDICTED` hidden, as an objective prepares it."""
    given = rows(shared)
    number = given["input_ids"]
    words = np.random.default_rng(0).integers(5, tiny.VOCAB, LENGTHS.sum() + 1, dtype=np.int32)
    read = words.copy()
    read[PREDICTED[2:]] = tiny.MASK_ID
    read[0] = 0
    places = [np.flatnonzero(number == token)[0] for token in PREDICTED]
    return jax.tree.map(
        jnp.asarray,
        given
        | {
            "input_ids": read[number],
            "positions": np.array([places], np.int32),
            "labels": words[PREDICTED][None],
            "valid": np.ones((1, len(PREDICTED)), bool),
        },
    )


def test_there_are_fewer_rows_with_several_texts():
    alone, shared = rows(False), rows(True)
    assert len(alone["input_ids"]) == len(LENGTHS) > len(shared["input_ids"])
    assert shared["segments"].max() > 1
    assert set(shared) == {"input_ids", "segments"}


def objectives():
    student, params = split(tiny.model())
    teacher, of_teacher = split(tiny.model(tiny.TEACHER, seed=1))
    distilled = DistillationObjective(student, teacher, tiny.MASKING, tiny.MASK_ID, LOSS.terms())
    pretrained = MaskedLMObjective(student, tiny.MASKING, tiny.MASK_ID)
    weights = jnp.asarray(tiny.log_weights())
    return distilled, pretrained, params, {"teacher": of_teacher, "log_weights": weights}


@pytest.mark.long
@pytest.mark.parametrize("distils", [True, False])
def test_every_term_and_its_gradient_are_those_of_texts_in_rows_of_their_own(distils):
    distilled, pretrained, params, constants = objectives()
    objective = distilled if distils else pretrained
    numbers = objective.numbers(jnp.float32(0))

    def loss(params, batch, shares):
        return objective.loss(LossInputs(params, constants, batch, None, numbers, shares))

    both = jax.jit(jax.grad(loss, has_aux=True))
    for term in numbers:
        shares = {name: jnp.float32(name == term) for name in numbers}
        (gradient, sums), (expected, expected_sums) = (
            both(params, batch(shared), shares) for shared in (True, False)
        )
        np.testing.assert_allclose(sums[term], expected_sums[term], rtol=1e-6, err_msg=term)
        assert tiny.difference(gradient, expected) < 1e-5, term


def drawn(micro_batches: int) -> dict[str, np.ndarray]:
    """Four rows of several texts, before masks are drawn."""
    given: dict[str, np.ndarray] = {
        name: np.resize(array, (4, tiny.LENGTH)) for name, array in rows(True).items()
    }
    given["input_ids"] = np.where(given["segments"] > 0, 5 + given["input_ids"] % 40, 0)
    given["row"] = np.arange(4)
    return {
        name: array.astype(np.int32).reshape(micro_batches, -1, *array.shape[1:])
        for name, array in given.items()
    }


@cache
def update(micro_batches: int, devices: int, parallel: Mode):
    """The gradient and the terms of an update."""
    objective, _, params, constants = objectives()
    objective.masking = replace(tiny.MASKING, group_rows=1)
    params = jax.device_get(params)  # the update consumes them
    machine = Parallel(ParallelConfig(parallel=parallel, devices=devices))
    step = machine.compile(lambda axis: make_step(objective, GRADIENTS, 10, axis))
    state, constants = machine.replicate((init_state(params, GRADIENTS), constants))
    return jax.device_get(step(state, constants, machine.place(drawn(micro_batches)), KEYS))


@pytest.mark.long
@pytest.mark.parametrize(
    "divided", [(2, 1, "jit"), (1, 2, "jit"), (1, 2, "pmap")], ids=["micro", "jit", "pmap"]
)
def test_division_of_shared_rows_changes_nothing(divided):
    (state, metrics), (expected, expected_metrics) = update(*divided), update(1, 1, "jit")
    for name in ("loss", *LOSS.terms()):
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-6, err_msg=name)
    assert tiny.difference(state.params, expected.params) < 1e-5


@pytest.mark.long
def test_students_of_a_stack_learn_from_shared_rows_what_they_learn_alone():
    stacks = stacks_of([{}, {"loss.ce.weight": 0}])
    student, params = split(tiny.model())
    teacher, of_teacher = split(tiny.model(tiny.TEACHER, seed=1))
    weights = jnp.asarray(tiny.log_weights())
    step = jax.jit(make_stacked_step(stacks, teacher, tiny.MASK_ID, 10))
    state = stacked_state(stacks, {"0": params, "1": params})
    constants = {"teacher": of_teacher, "log_weights": [weights]}
    after, metrics = step(state, constants, drawn(1), KEYS)

    optimizer = make_optimizer(BASE.optimizer, 10, frozen=frozen(BASE))
    objective = DistillationObjective(
        student, teacher, BASE.masking, tiny.MASK_ID, BASE.loss.terms()
    )
    alone = jax.jit(make_step(objective, optimizer, 10))
    constants = {"teacher": of_teacher, "log_weights": weights}
    expected, of_one = alone(init_state(params, optimizer), constants, drawn(1), KEYS)
    for name in ("loss", *BASE.loss.terms()):
        np.testing.assert_allclose(metrics[f"0/{name}"], of_one[name], rtol=1e-6, err_msg=name)
    assert tiny.difference(unstacked(stacks, after.params)["0"], expected.params) < 1e-5
