"""One update is the same however the batch is divided: over devices, modes and micro-batches."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests import tiny
from train.objectives.distillation import DistillationObjective, MaskedLMObjective
from train.objectives.objective import Mean
from train.objectives.terms import (
    AttentionScores,
    DistillationLoss,
    EmbeddingError,
    ForwardKL,
    HiddenCKA,
    HiddenError,
    HiddenProcrustes,
    JensenShannon,
    LogitError,
    MaskedTokens,
    Relations,
    numbers_of,
)
from train.update.keys import Keys, stream_key
from train.update.optimizer import Optimizer, OptimizerConfig, make_optimizer
from train.update.parallel import Mode, Parallel, ParallelConfig, compiler_options
from train.update.step import init_state, make_step

KEYS = Keys(stream_key(0, "masking"), stream_key(0, "dropout"))
LOSS = DistillationLoss(
    mse=LogitError(weight=0.01),
    hidden=HiddenError(weight=0.5, layers="uniform"),
    embeddings=EmbeddingError(weight=0.5),
    attention=AttentionScores(weight=0.5),
    relations=Relations(weight=0.5, heads=4),
    js=JensenShannon(weight=0.5),
    cka=HiddenCKA(weight=0.5),
)
ALONE = DistillationLoss().with_weights(mlm=1.0)


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    """The vocabulary is scored at 5 of 16 tokens at a time."""
    monkeypatch.setattr("train.objectives.distillation.CHUNK", 5)


def split(model):
    graphdef, params = nnx.split(model, nnx.Param)
    return graphdef, nnx.to_pure_dict(params)


@cache
def updates(
    parallel: Mode = "jit",
    devices=1,
    micro_batches=1,
    dropout=0.0,
    steps=3,
    loss=LOSS,
    frozen=(),
    dtype="float32",
):
    """Parameters and losses after a few updates of distillation."""
    teacher, teacher_params = split(tiny.model(tiny.TEACHER.replace(dtype=dtype), seed=1))
    student, params = split(tiny.model(tiny.STUDENT.replace(hidden_dropout=dropout, dtype=dtype)))
    start = jax.device_get(params)  # the first update consumes them
    objective = DistillationObjective(
        student, teacher, tiny.MASKING, tiny.MASK_ID, loss.terms(), mean=loss.mean
    )
    # Large epsilon: Adam divides by the gradient's size, which would turn rounding of near-zero
    # gradients into differences as large as the learning rate.
    settings = OptimizerConfig(learning_rate=0.1, warmup_share=0.0, epsilon=1e-2, clip_norm=1.0)
    optimizer = make_optimizer(settings, total_steps=10, frozen=frozen)
    machine = Parallel(ParallelConfig(parallel=parallel, devices=devices))
    step = machine.compile(lambda axis: make_step(objective, optimizer, 10, axis))
    constants = machine.replicate(
        {"teacher": teacher_params, "log_weights": jnp.asarray(tiny.log_weights())}
    )
    state = machine.replicate(init_state(params, optimizer))
    history = []
    for number in range(steps):
        batch = machine.place(tiny.batch(micro_batches=micro_batches, seed=number))
        state, metrics = step(state, constants, batch, KEYS)
        history.append({name: float(value) for name, value in metrics.items()})
    return jax.device_get(state.params), history, start


@pytest.mark.long
@pytest.mark.parametrize(
    "divided",
    [
        pytest.param({"micro_batches": 4}, marks=pytest.mark.long),
        {"devices": 4},
        pytest.param({"devices": 4, "parallel": "pmap"}, marks=pytest.mark.long),
        {"devices": 2, "micro_batches": 2, "parallel": "pmap"},
    ],
    ids=str,
)
def test_division_of_the_batch_changes_nothing(divided):
    params, history, start = updates()
    other, other_history, _ = updates(**divided)
    for ours, theirs in zip(history, other_history, strict=True):
        for name in ("loss", *LOSS.terms()):
            np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-6, err_msg=name)
    moved = jax.tree.map(np.subtract, params, start)
    other_moved = jax.tree.map(np.subtract, other, start)
    assert tiny.difference(other_moved, moved) < 1e-5


@pytest.mark.long
@pytest.mark.parametrize(
    "divided", [{"devices": 4}, {"devices": 2, "micro_batches": 2, "parallel": "pmap"}], ids=str
)
def test_rotations_of_texts_do_not_depend_on_it(divided):
    loss = DistillationLoss(procrustes=HiddenProcrustes(weight=0.5))
    params, [ours], start = updates(loss=loss, steps=1)
    other, [theirs], _ = updates(loss=loss, steps=1, **divided)
    # 2 minus nearly 2: a digit less than others have.
    np.testing.assert_allclose(theirs["procrustes"], ours["procrustes"], rtol=3e-6)
    moved, other_moved = (jax.tree.map(np.subtract, tree, start) for tree in (params, other))
    assert tiny.difference(other_moved, moved) < 1e-5


def test_the_divided_batches_hold_different_numbers_of_predictions():
    attended = tiny.batch(micro_batches=4)["attention_mask"].sum(axis=(1, 2))
    assert len(set(attended.tolist())) == 4


# A step with this gives the gradient where the new parameters would be.
GRADIENTS = Optimizer(lambda params: (), lambda gradients, *state: (gradients, (), {}))
SHORT = DistillationLoss().with_weights(mlm=1.0, cos=1.0)


@cache
def gradient_step(mean, parallel: Mode = "jit", devices=1):
    """An update of a loss of two terms, and what it reads beside the batch."""
    teacher, teacher_params = split(tiny.model(tiny.TEACHER, seed=1))
    student, params = split(tiny.model())
    objective = DistillationObjective(
        student, teacher, tiny.MASKING, tiny.MASK_ID, SHORT.terms(), mean=mean
    )
    machine = Parallel(ParallelConfig(parallel=parallel, devices=devices))
    step = machine.compile(lambda axis: make_step(objective, GRADIENTS, 10, axis))
    constants = {"teacher": teacher_params, "log_weights": jnp.asarray(tiny.log_weights())}
    return machine, step, machine.replicate(constants), jax.device_get(params)


def gradients(mean, micro_batches, part=slice(None), **parallel):
    """The gradient and the terms of an update, or of some of its micro-batches alone."""
    machine, step, constants, params = gradient_step(mean, **parallel)
    state = machine.replicate(init_state(params, GRADIENTS))
    batch = {n: a[part] for n, a in tiny.batch(micro_batches=micro_batches).items()}
    return jax.device_get(step(state, constants, machine.place(batch), KEYS))


def assert_same(ours, theirs):
    (state, metrics), (other, other_metrics) = ours, theirs
    for name in ("loss", *SHORT.terms()):
        np.testing.assert_allclose(metrics[name], other_metrics[name], rtol=1e-6, err_msg=name)
    assert tiny.difference(state.params, other.params) < 1e-5


@pytest.mark.long
def test_the_mean_of_micro_batches_is_that_of_their_means():
    # Of a micro-batch alone there is only one mean.
    alone = [gradients("tokens", 4, part=slice(m, m + 1)) for m in range(4)]
    mean = jax.tree.map(lambda *each: np.mean(each, axis=0, dtype=np.float64), *alone)
    assert_same(gradients("micro-batches", 4), mean)
    # Their lengths differ, so the mean over tokens is another.
    (state, metrics), (other, other_metrics) = gradients("tokens", 4), gradients("micro-batches", 4)
    for name in SHORT.terms():
        assert abs(metrics[name] / other_metrics[name] - 1) > 1e-3
    assert tiny.difference(state.params, other.params) > 1e-2


@pytest.mark.long
@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_the_mean_of_micro_batches_is_the_same_on_two_devices(parallel):
    ours = gradients("micro-batches", 4, parallel=parallel, devices=2)
    assert_same(ours, gradients("micro-batches", 4))


@pytest.mark.long
def test_a_term_with_nothing_to_predict_is_zero():
    machine, step, constants, params = gradient_step("tokens")
    batch = tiny.batch(micro_batches=4)
    batch["input_ids"][:] = tiny.MASK_ID  # special tokens are never predicted
    state = machine.replicate(init_state(params, GRADIENTS))
    state, metrics = jax.device_get(step(state, constants, machine.place(batch), KEYS))
    assert metrics["mlm"] == 0 < metrics["loss"] == metrics["cos"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))


@pytest.mark.long
def test_numbers_move_from_the_first_update_to_the_last():
    teacher, teacher_params = split(tiny.model(tiny.TEACHER, seed=1))
    student, params = split(tiny.model())
    constants = {"teacher": teacher_params, "log_weights": jnp.asarray(tiny.log_weights())}
    batch = jax.tree.map(jnp.asarray, tiny.batch())

    def objective(loss, numbers=None):
        terms = loss.terms()
        return DistillationObjective(
            student, teacher, tiny.MASKING, tiny.MASK_ID, terms, numbers=numbers
        )

    def loss(weight, temperature):
        ce = ForwardKL(weight=1.0, temperature=temperature)
        return replace(ALONE, mlm=MaskedTokens(weight=weight), ce=ce)

    ramps = loss((1.0, 0.0), (4.0, 1.0))

    @jax.jit
    def described(numbers, number):
        step = make_step(objective(ramps, numbers), GRADIENTS, total_steps=3)
        before = init_state(params, GRADIENTS)._replace(step=number)
        state, metrics = step(before, constants, batch, KEYS)
        return metrics | {"gradient": state.params}

    def at(loss, number):
        # What all losses here have in common: one program for all of them.
        numbers = {name: numbers_of(getattr(loss, name)) for name in ramps.terms()}
        pair = lambda ends: isinstance(ends, tuple)  # noqa: E731
        numbers = jax.tree.map(jnp.float32, numbers, is_leaf=pair)
        return jax.device_get(described(numbers, jnp.int32(number)))

    for number, (weight, temperature) in enumerate([(1.0, 4.0), (0.5, 2.5), (0.0, 1.0)]):
        moving, still = at(ramps, number), at(loss(weight, temperature), number)
        assert tiny.difference(moving, still) < 1e-6
        np.testing.assert_allclose(moving["loss"], weight * moving["mlm"] + moving["ce"], rtol=1e-6)
        # The objective alone reads them from its terms.
        now = objective(ramps).numbers(jnp.float32(number / 2))
        assert now == {
            "ce": {"weight": 1.0, "temperature": temperature},
            "mlm": {"weight": weight},
        }
    assert at(ramps, 0)["ce"] != at(loss(1.0, 1.0), 0)["ce"]


@pytest.mark.long
def test_with_dropout_a_mesh_equals_one_device():
    params, history, _ = updates(dropout=0.3)
    other, other_history, _ = updates(dropout=0.3, devices=4)
    without, *_ = updates()
    np.testing.assert_allclose(
        [row["loss"] for row in other_history], [row["loss"] for row in history], rtol=1e-6
    )
    assert tiny.difference(other, params) < 1e-5
    assert tiny.difference(without, params) > 1e-2


@pytest.mark.long
def test_frozen_positions_neither_move_nor_count_in_the_norm():
    params, history, start = updates(frozen=("position",))
    position = params["backbone"]["embeddings"]["position"]["embedding"]
    np.testing.assert_array_equal(
        position, start["backbone"]["embeddings"]["position"]["embedding"]
    )
    assert history[0]["loss"] == updates()[1][0]["loss"]
    assert history[0]["grad_norm"] < updates()[1][0]["grad_norm"]


@pytest.mark.long
def test_bfloat16_computes_the_same_losses_roughly_and_keeps_float32_parameters():
    params, history, _ = updates(dtype="bfloat16", steps=1)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    exact = updates()[1][0]
    for name in ("ce", "mlm", "cos", "mse"):
        assert history[0][name] != exact[name]
        np.testing.assert_allclose(history[0][name], exact[name], rtol=0.05, err_msg=name)


@pytest.mark.long
def test_terms_of_weight_zero_are_not_computed():
    _, history, _ = updates(loss=ALONE, dropout=0.3)
    assert set(history[0]) == {"loss", "mlm", "grad_norm", "clipped", "learning_rate"}
    assert history[0]["loss"] == history[0]["mlm"]


@pytest.mark.long
def test_the_rate_that_is_recorded_is_the_one_of_the_update():
    _, history, _ = updates(loss=ALONE, dropout=0.3)
    np.testing.assert_allclose([row["learning_rate"] for row in history], [0.1, 0.09, 0.08])


ROWS, LENGTH = 4, 64


def temporary_memory(loss):
    """Bytes that the compiled step needs beside what it is given and gives back."""
    config = tiny.TEACHER.replace(max_positions=LENGTH)
    models = [nnx.eval_shape(lambda c=c: tiny.model(c)) for c in (config.distilled(1), config)]
    (student, params), (teacher, teacher_params) = map(split, models)
    objective = DistillationObjective(student, teacher, tiny.MASKING, tiny.MASK_ID, loss.terms())
    batch = {
        "input_ids": jnp.zeros((1, ROWS, LENGTH), jnp.int32),
        "attention_mask": jnp.ones((1, ROWS, LENGTH), bool),
        "row": jnp.arange(ROWS)[None],
    }
    constants = {"teacher": teacher_params, "log_weights": jnp.asarray(tiny.log_weights())}
    state = jax.eval_shape(lambda p: init_state(p, GRADIENTS), params)
    step = jax.jit(make_step(objective, GRADIENTS, 10)).lower(state, constants, batch, KEYS)
    used = step.compile().memory_analysis()
    assert used is not None
    return used.temp_size_in_bytes


@pytest.mark.long
def test_what_is_not_asked_for_takes_no_memory():
    plain = temporary_memory(DistillationLoss())
    # Both of the teacher's maps are compared with the student's only one.
    without, asked_for = (
        DistillationLoss(
            attention=AttentionScores(weight=weight, layers="0:0,0:1"), relations=Relations(heads=4)
        )
        for weight in (0.0, 1.0)
    )
    assert temporary_memory(without) == plain
    maps = tiny.TEACHER.num_layers * ROWS * tiny.TEACHER.num_heads * LENGTH * LENGTH * 4
    assert temporary_memory(asked_for) >= plain + maps


@pytest.mark.long
def test_distillation_by_masked_lm_alone_is_pretraining():
    student, params = split(tiny.model(tiny.STUDENT.replace(hidden_dropout=0.3)))
    optimizer = make_optimizer(OptimizerConfig(), total_steps=10)
    constants = {"teacher": None, "log_weights": jnp.asarray(tiny.log_weights())}
    objective = MaskedLMObjective(student, tiny.MASKING, tiny.MASK_ID)
    step = jax.jit(make_step(objective, optimizer, 10))
    batch = jax.tree.map(jnp.asarray, tiny.batch())
    _, metrics = step(init_state(params, optimizer), constants, batch, KEYS)
    _, history, _ = updates(loss=ALONE, dropout=0.3)
    np.testing.assert_allclose(metrics["mlm"], history[0]["mlm"], rtol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("positions", ["attended", "masked"])
def test_terms_equal_a_loop_over_positions(positions):
    """The whole objective against float64 sums, one position at a time."""
    loss = DistillationLoss(
        ce=ForwardKL(weight=5.0, positions=positions),
        mse=LogitError(weight=0.01, positions=positions),
    )
    _, history, _ = updates(loss=loss, steps=1)
    student, teacher = tiny.model(tiny.STUDENT), tiny.model(tiny.TEACHER, seed=1)
    objective = DistillationObjective(
        nnx.graphdef(student), nnx.graphdef(teacher), tiny.MASKING, tiny.MASK_ID, loss.terms()
    )
    masked = objective.prepare(
        {"log_weights": jnp.asarray(tiny.log_weights())},
        jax.tree.map(jnp.asarray, tiny.batch()),
        jax.random.fold_in(KEYS.masking, jnp.int32(0)),
    )
    ids, attended = masked["input_ids"][0], masked["attention_mask"][0]
    outputs = [model(ids, attended) for model in (student, teacher)]
    s, t = (np.asarray(o.logits, np.float64) for o in outputs)
    hs, ht = (np.asarray(o.last_hidden, np.float64) for o in outputs)

    def log_softmax(x):
        return x - np.log(np.exp(x - x.max()).sum()) - x.max()

    labels = {}
    for group, (places, tokens, valid) in enumerate(
        zip(masked["positions"][0], masked["labels"][0], masked["valid"][0], strict=True)
    ):
        for place, token, real in zip(places, tokens, valid, strict=True):
            if real:
                row = group * tiny.GROUP_ROWS + int(place) // tiny.LENGTH
                labels[row, int(place) % tiny.LENGTH] = int(token)
    everywhere = [tuple(place) for place in np.argwhere(np.asarray(attended))]
    where = everywhere if positions == "attended" else list(labels)
    kl = [
        4 * np.sum(np.exp(log_softmax(t[p] / 2)) * (log_softmax(t[p] / 2) - log_softmax(s[p] / 2)))
        for p in where
    ]
    expected = {
        "ce": np.mean(kl),
        "mse": np.mean([np.sum((s[p] - t[p]) ** 2) for p in where]),
        "mlm": np.mean([-log_softmax(s[p])[token] for p, token in labels.items()]),
        "cos": np.mean(
            [
                1 - hs[p] @ ht[p] / np.sqrt((hs[p] @ hs[p] + 1e-12) * (ht[p] @ ht[p] + 1e-12))
                for p in everywhere
            ]
        ),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(history[0][name], value, rtol=2e-6, err_msg=name)


class Draws:
    """An objective whose terms are numbers drawn from the streams of masking and dropout."""

    mean: Mean = "tokens"

    def numbers(self, progress):
        return {name: {"weight": 1.0} for name in ("masking", "dropout")}

    def prepare(self, constants, batch, key):
        return batch | {"drawn": jnp.full(batch["input_ids"].shape[:1], jax.random.uniform(key))}

    def where(self, batch):
        return {name: jnp.ones(batch["drawn"].shape, bool) for name in self.numbers(0)}

    def loss(self, inputs):
        dropout = jax.random.uniform(inputs.rngs.dropout())
        return 0 * jnp.sum(inputs.params), {"masking": inputs.batch["drawn"], "dropout": dropout}


def test_random_numbers_are_drawn_anew():
    """Masks at every update; dropout also for every micro-batch and, with pmap, every device.

    Each has a key of its own.
    """
    masking, dropout = set(), set()
    other = KEYS._replace(dropout=stream_key(1, "dropout"))
    ways: list[tuple[Mode, int, int]] = [("jit", 1, 1), ("jit", 1, 2), ("pmap", 2, 1)]
    for parallel, devices, micro_batches in ways:
        machine = Parallel(ParallelConfig(parallel=parallel, devices=devices))
        step = machine.compile(lambda axis: make_step(Draws(), GRADIENTS, 10, axis))
        batch = machine.place({"input_ids": np.zeros((micro_batches, 2, 4), np.int32)})
        for keys in (KEYS, other):
            state = machine.replicate(init_state(jnp.ones(2), GRADIENTS))
            for _ in range(2):
                state, metrics = step(state, {}, batch, keys)
                masking.add(float(metrics["masking"]))
                dropout.add(float(metrics["dropout"]))
    assert len(masking) == 2
    # Were the draw of a second micro-batch or device the first one's, so would be their mean.
    assert len(dropout) == 12


def test_only_cpus_have_options_of_their_own():
    assert compiler_options("tpu", remat=True) is None
    assert set(compiler_options("cpu") or ()) < set(compiler_options("cpu", remat=True) or ())
