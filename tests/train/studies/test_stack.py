"""Students in a stack: who may share one, what it is made of, and what it does only once."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from data.config import DataConfig
from model.errors import InputError
from tests import tiny
from train.config import DistillConfig
from train.studies.settings import with_settings
from train.studies.stack import make_stacked_step, make_stacks, stacked_state, unstacked
from train.update.keys import Keys, stream_key
from train.update.parallel import ParallelConfig, StackParallel
from train.update.step import split

BASE = DistillConfig(
    output=Path("run"), teacher="teacher", data=DataConfig(), masking=tiny.MASKING, batch_size=8
)
DEEP = tiny.TEACHER.replace(num_layers=6)


@cache
def graphdef(**shape):
    return nnx.graphdef(tiny.model(tiny.STUDENT.replace(**shape)))


def stacks_of(variants, shapes=None):
    """The stacks of students with these settings; their names are the places in the list."""
    students = {str(n): with_settings(BASE, own, "here") for n, own in enumerate(variants)}
    shapes = shapes or [{}] * len(variants)
    graphdefs = {name: graphdef(**shape) for name, shape in zip(students, shapes, strict=True)}
    return make_stacks(students, graphdefs)


def names(stacks):
    return [[*stack.students] for stack in stacks]


@pytest.mark.parametrize(
    "settings",
    [
        {"loss.ce.weight": 0},
        {"loss.ce.weight": 0, "loss.cos.weight": 0},
        {"loss.cos.weight": (0, 3)},
        {"loss.ce.temperature": 8},
        {"loss.ce.temperature": (8, 2)},
        {"optimizer.learning_rate": 3e-3},
        {"optimizer.clip_norm": 1e9},
        {"student.layers": "random"},
        {"student.copy_head": True, "student.token_types": "fold"},
        # The options of a term that is not asked for are no difference.
        {"loss.ce.weight": 0, "loss.ce.positions": "masked"},
    ],
)
def test_students_share_a_stack_that_differ_in_numbers_and_start(settings):
    assert names(stacks_of([{}, settings])) == [["0", "1"]]


@pytest.mark.parametrize(
    "settings",
    [
        {"masking.smoothing": 0.5},
        {"masking.share": 0.3},
        {"freeze_positions": False},
        {"loss.mean": "micro-batches"},
        {"optimizer.weight_decay": 0.1},
        {"loss.ce.positions": "masked"},
        {"loss.cos.layers": "uniform"},
        {"loss.hidden.weight": 1, "loss.ce.weight": 0},
        # Their masked-LM heads do not learn, and so are no part of the model that comes out.
        {"loss.ce.weight": 0, "loss.mlm.weight": 0},
    ],
)
def test_students_do_not_share_what_must_be_compiled(settings):
    assert names(stacks_of([{}, settings])) == [["0"], ["1"]]


@pytest.mark.parametrize("shape", [{"num_layers": 2}, {"hidden_size": 8}, {"num_heads": 1}])
def test_students_of_another_shape_are_a_stack_of_their_own(shape):
    assert names(stacks_of([{}, {}, {}], [{}, shape, {}])) == [["0", "2"], ["1"]]


def test_a_student_joins_who_has_all_its_terms_whoever_comes_first():
    kl, mlm = (
        {"loss.mlm.weight": 0, "loss.cos.weight": 0},
        {"loss.ce.weight": 0, "loss.cos.weight": 0},
    )
    assert names(stacks_of([kl, mlm])) == [["0"], ["1"]]
    [stack] = stacks_of([kl, mlm, {}])
    assert [*stack.students] == ["0", "1", "2"]
    assert [*stack.terms] == ["ce", "mlm", "cos"]
    weights = stack.numbers()["ends"]
    np.testing.assert_array_equal(weights["ce"]["weight"], [(5, 5), (0, 0), (5, 5)])
    np.testing.assert_array_equal(weights["mlm"]["weight"], [(0, 0), (2, 2), (2, 2)])


def test_every_student_has_its_own_numbers():
    [stack] = stacks_of(
        [
            {},
            {"loss.ce.temperature": (8, 2), "loss.cos.weight": (0, 3)},
            {"optimizer.learning_rate": 0.25, "optimizer.clip_norm": 0.5},
        ]
    )
    numbers = stack.numbers()
    np.testing.assert_array_equal(numbers["clip"], np.array([5, 5, 0.5], np.float32))
    np.testing.assert_array_equal(numbers["peak"], np.array([5e-4, 5e-4, 0.25], np.float32))
    ends = numbers["ends"]
    np.testing.assert_array_equal(ends["ce"]["temperature"], [(2, 2), (8, 2), (2, 2)])
    np.testing.assert_array_equal(ends["cos"]["weight"], [(1, 1), (0, 3), (1, 1)])


def test_parameters_go_into_stacks_and_come_out_by_name():
    stacks = stacks_of([{}, {"masking.smoothing": 0.5}, {"loss.ce.weight": 0}])
    students = {str(seed): split(tiny.model(seed=seed))[1] for seed in range(3)}
    state = stacked_state(stacks, students)
    assert {place: jax.tree.leaves(p)[0].shape[0] for place, p in state.params.items()} == {
        "0": 2,
        "1": 1,
    }
    jax.tree.map(np.testing.assert_array_equal, unstacked(stacks, state.params), students)


def test_devices_that_share_students_need_not_divide_the_rows():
    config = ParallelConfig(devices=4)
    StackParallel(config, [4, 8]).check_rows(6, 1, 2)
    with pytest.raises(InputError, match="--batch-size 6 is not a multiple of 8"):
        StackParallel(config, [4, 3]).check_rows(6, 1, 2)


@cache
def flops(count):
    """Of an update of so many students under one deep teacher, before XLA makes it faster."""
    stacks = stacks_of([{"loss.ce.weight": number + 1} for number in range(count)])
    teacher, teacher_params = split(tiny.model(DEEP, seed=1))
    step = make_stacked_step(stacks, teacher, tiny.MASK_ID, 10)
    student = split(tiny.model())[1]
    state = stacked_state(stacks, {str(number): student for number in range(count)})
    weights = jnp.asarray(tiny.log_weights())
    constants = {"teacher": teacher_params, "log_weights": [weights]}
    keys = Keys(stream_key(0, "masking"), stream_key(0, "dropout"))
    return flops_of(jax.jit(step).lower(state, constants, tiny.batch(8), keys))


def flops_of(lowered):
    cost = lowered.cost_analysis()
    assert cost is not None
    return cost["flops"]


@pytest.mark.long
def test_the_teacher_reads_a_batch_once_whoever_listens():
    teacher = tiny.model(DEEP, seed=1)
    read = jax.jit(lambda ids: teacher(ids, outputs=()).logits)
    once = flops_of(read.lower(tiny.batch(8)["input_ids"][0]))
    student = flops(3) - flops(2)
    np.testing.assert_allclose(flops(2) - flops(1), student, rtol=1e-3)
    # What does not grow with the students is the teacher, the masks and little else.
    assert once < flops(1) - student < 1.1 * once
