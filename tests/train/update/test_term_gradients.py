"""The gradients of single terms, against JAX's own of each and against the update's."""

from functools import cache
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree

from report.gradients import cosine_name, gradient_names, norm_name, weighted_norm_name
from tests import tiny
from train.objectives.distillation import DistillationObjective
from train.objectives.terms import DistillationLoss, ForwardKL, HiddenError, MaskedTokens
from train.update.keys import Keys, stream_key
from train.update.optimizer import OptimizerConfig, make_optimizer
from train.update.parallel import Mode, Parallel, ParallelConfig
from train.update.step import TrainState, init_state, make_gradient, make_step, split
from train.update.term_gradients import make_term_gradients

pytestmark = pytest.mark.long  # each compiles several backward passes
KEYS = Keys(stream_key(0, "masking"), stream_key(0, "dropout"))
# The weights and a temperature change over the run, of which this is the second update of three.
LOSS = DistillationLoss(
    ce=ForwardKL(weight=(2.0, 8.0), temperature=(4.0, 1.0)),
    mlm=MaskedTokens(weight=2.0),
    hidden=HiddenError(weight=0.25, layers="0:0"),
)
WEIGHTS = {"ce": 5.0, "mlm": 2.0, "cos": 1.0, "hidden": 0.25}
FROZEN = ("position",)
OPTIMIZER = make_optimizer(OptimizerConfig(), total_steps=3, frozen=FROZEN)


def parts(dropout=0.0):
    teacher, teacher_params = split(tiny.model(tiny.TEACHER, seed=1))
    student, params = split(tiny.model(tiny.STUDENT.replace(hidden_dropout=dropout)))
    objective = DistillationObjective(student, teacher, tiny.MASKING, tiny.MASK_ID, LOSS.terms())
    constants = {"teacher": teacher_params, "log_weights": jnp.asarray(tiny.log_weights())}
    return objective, constants, params


@cache
def program(parallel: Mode = "jit", devices=1, micro_batches=1, dropout=0.0):
    """The function that measures the second update, and its arguments up to the batch."""
    objective, constants, params = parts(dropout)
    machine = Parallel(ParallelConfig(parallel=parallel, devices=devices))
    measure = machine.compile_observation(
        lambda axis: make_term_gradients(objective, 3, FROZEN, axis)
    )
    state = init_state(params, OPTIMIZER)._replace(step=jnp.int32(1))
    return machine, objective, measure, (machine.replicate(state), machine.replicate(constants))


def measured(batch=None, **divided):
    """The numbers of the second update."""
    machine, _, measure, given = program(**divided)
    batch = tiny.batch(micro_batches=divided.get("micro_batches", 1)) if batch is None else batch
    return jax.device_get(measure(*given, machine.place(batch), KEYS))


@cache
def by_hand():
    """The gradient of each term's mean, of functions that know nothing of objectives; float64."""
    objective, constants, params = parts()
    structure, teacher = objective.model, tiny.model(tiny.TEACHER, seed=1)
    batch = jax.tree.map(jnp.asarray, tiny.batch())
    masked = objective.prepare(constants, batch, jax.random.fold_in(KEYS.masking, 1))
    ids, there = masked["input_ids"][0], masked["attention_mask"][0]
    rows = np.arange(len(masked["positions"][0]))[:, None] * tiny.GROUP_ROWS * tiny.LENGTH
    places = (np.asarray(masked["positions"][0]) + rows)[np.asarray(masked["valid"][0])]
    labels = masked["labels"][0][masked["valid"][0]]
    theirs = teacher(ids, there, outputs=("hidden_states",))
    tokens = jnp.sum(there)

    def mean(values):
        return jnp.sum(jnp.where(there, values, 0)) / tokens.astype(jnp.float32)

    def terms(params):
        ours = nnx.merge(structure, params)(ids, there, outputs=("hidden_states",))
        assert ours.hidden_states is not None and theirs.hidden_states is not None
        assert ours.logits is not None and theirs.logits is not None
        temperature, both = 2.5, (theirs.logits, ours.logits)
        log_p, log_q = (jax.nn.log_softmax(logits / temperature, axis=-1) for logits in both)
        log_all = jax.nn.log_softmax(ours.logits, axis=-1).reshape(-1, tiny.VOCAB)
        a, b = ours.last_hidden, theirs.last_hidden
        cosine = jnp.sum(a * b, -1) / (jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1))
        first = ours.hidden_states[1] - theirs.hidden_states[1]
        return {
            "ce": mean(temperature**2 * jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)),
            "mlm": -jnp.mean(log_all[places, labels]),
            "cos": mean(1 - cosine),
            "hidden": mean(jnp.mean(first**2, axis=-1)),
        }

    each = jax.jit(jax.jacrev(terms))(params)
    for gradient in each.values():  # frozen parameters do not count
        table = gradient["backbone"]["embeddings"]["position"]["embedding"]
        gradient["backbone"]["embeddings"]["position"]["embedding"] = jnp.zeros_like(table)
    return {name: np.asarray(ravel_pytree(g)[0], np.float64) for name, g in each.items()}


def test_norms_and_cosines_are_those_of_the_gradient_of_each_term_alone():
    numbers = measured()
    expected = by_hand()
    assert [*numbers] == sorted(gradient_names(LOSS.terms()))  # jit sorts names
    for name, gradient in expected.items():
        norm = np.linalg.norm(gradient)
        np.testing.assert_allclose(numbers[norm_name(name)], norm, rtol=1e-5, err_msg=name)
        weighted = numbers[weighted_norm_name(name)]
        np.testing.assert_allclose(weighted, WEIGHTS[name] * norm, rtol=1e-5, err_msg=name)
    for a, b in combinations(LOSS.terms(), 2):
        cosine = expected[a] @ expected[b] / np.linalg.norm(expected[a])
        cosine /= np.linalg.norm(expected[b])
        np.testing.assert_allclose(numbers[cosine_name(a, b)], cosine, atol=1e-6, err_msg=(a, b))


def test_the_gradients_of_the_terms_times_their_weights_are_that_of_the_update():
    objective, constants, params = parts(dropout=0.3)
    state = TrainState(params, (), jnp.int32(1))
    batch = jax.tree.map(jnp.asarray, tiny.batch(micro_batches=2))

    @jax.jit
    def gradient(weights):
        return make_gradient(objective, 3)(state, constants, batch, KEYS, weights)[0]

    alone = {
        name: gradient({other: jnp.float32(other == name) for other in WEIGHTS}) for name in WEIGHTS
    }
    total = jax.tree.map(
        lambda *leaves: sum(w * leaf for w, leaf in zip(WEIGHTS.values(), leaves, strict=True)),
        *(alone[name] for name in WEIGHTS),
    )
    whole, _, weights = jax.jit(make_gradient(objective, 3))(state, constants, batch, KEYS)
    assert tiny.difference(jax.device_get(total), jax.device_get(whole)) < 1e-6
    assert {name: float(weight) for name, weight in weights.items()} == WEIGHTS


@pytest.mark.parametrize(
    "divided",
    [
        {"devices": 2, "micro_batches": 2},
        {"devices": 2, "parallel": "pmap"},
    ],
    ids=str,
)
def test_the_length_of_their_sum_is_the_one_that_the_update_records(divided):
    """With dropout and frozen positions, however the batch is divided."""
    divided = {**divided, "dropout": 0.3}
    numbers = measured(**divided)
    machine, objective, _, given = program(**divided)
    step = machine.compile(lambda axis: make_step(objective, OPTIMIZER, 3, axis))
    batch = machine.place(tiny.batch(micro_batches=divided.get("micro_batches", 1)))
    _, metrics = step(*given, batch, KEYS)
    squares = sum(numbers[weighted_norm_name(name)] ** 2 for name in WEIGHTS)
    for a, b in combinations(LOSS.terms(), 2):
        both = numbers[weighted_norm_name(a)] * numbers[weighted_norm_name(b)]
        squares += 2 * numbers[cosine_name(a, b)] * both
    np.testing.assert_allclose(np.sqrt(squares), metrics["grad_norm"], rtol=1e-6)


def test_a_term_without_a_gradient_has_length_zero_and_no_direction():
    """Masked LM, where nothing is predicted."""
    batch = tiny.batch()
    batch["input_ids"][:] = tiny.MASK_ID  # special tokens are never predicted
    numbers = measured(batch)
    assert numbers[norm_name("mlm")] == numbers[cosine_name("ce", "mlm")] == 0
    assert numbers[norm_name("ce")] > 0
