"""Next-token losses of packed texts: those of each text alone, on one device and on many."""

from functools import cache
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from model.decoder.causal_lm import CausalLM
from tests import tiny
from tests.small import build, call
from tests.train.update.test_step import GRADIENTS, KEYS
from train.objectives.next_token import NextTokenObjective, has_next
from train.objectives.objective import LossInputs
from train.objectives.terms import CausalLoss, NextTokenKL
from train.update.parallel import Mode, Parallel, ParallelConfig
from train.update.step import init_state, make_step, split

CLS, SEP = 2, 3
LOSS = CausalLoss(ce=NextTokenKL(weight=0.5, temperature=2.0))
LENGTHS = ((5, 3, 8), (9, 4), (16,), (6, 6, 3), (16,), (12, 3), (7, 8), (10,))


@cache
def texts() -> list[list[np.ndarray]]:
    """The texts of each row, from [CLS] to [SEP]."""
    words = np.random.default_rng(0)

    def text(length):
        return np.array([CLS, *words.integers(5, tiny.VOCAB, length - 2), SEP], np.int32)

    return [[text(length) for length in row] for row in LENGTHS]


def batch(micro_batches: int = 1) -> dict[str, np.ndarray]:
    ids, segments = np.zeros((2, len(LENGTHS), tiny.LENGTH), np.int32)
    for row, found in enumerate(texts()):
        joined = np.concatenate(found)
        ids[row, : len(joined)] = joined
        numbers = np.repeat(np.arange(len(found)) + 1, [len(text) for text in found])
        segments[row, : len(joined)] = numbers
    flat = {"input_ids": ids, "segments": segments, "row": np.arange(len(ids), dtype=np.int32)}
    return {n: a.reshape(micro_batches, -1, *a.shape[1:]) for n, a in flat.items()}


@cache
def models() -> tuple[CausalLM, CausalLM]:
    student = build(CausalLM, tiny.TEACHER.replace(num_layers=1))
    return student, build(CausalLM, tiny.TEACHER, seed=1)


def objective(loss=LOSS) -> NextTokenObjective:
    (student, _), (teacher, _) = map(split, models())
    return NextTokenObjective(student, SEP, loss.terms(), teacher)


@pytest.mark.long
def test_the_losses_are_those_of_every_text_alone():
    student, teacher = models()
    expected, count = {"ce": 0.0, "next_token": 0.0}, 0
    for text in (text for row in texts() for text in row):
        # A full row may end where a long text was cut: its [SEP] is not predicted.
        places = len(text) - (2 if len(text) == tiny.LENGTH else 1)
        ours, theirs = (
            np.asarray(call(model, text[None]).logits, np.float64)[0, :places] for model in models()
        )
        expected["next_token"] -= np.sum(log_softmax(ours, -1)[range(places), text[1 : places + 1]])
        p, log_q = softmax(theirs / 2, -1), log_softmax(ours / 2, -1)
        expected["ce"] += 4 * np.sum(p * (log_softmax(theirs / 2, -1) - log_q))
        count += places

    made = objective()
    given = made.prepare({}, jax.tree.map(jnp.asarray, batch()), KEYS.masking)
    assert int(made.where(given)["ce"].sum()) == count
    shares = {name: jnp.float32(1) for name in expected}
    one = {name: array[0] for name, array in given.items()}
    constants = {"teacher": split(teacher)[1]}
    numbers = made.numbers(jnp.float32(0))
    inputs = LossInputs(split(student)[1], constants, one, None, numbers, shares)
    _, sums = made.loss(inputs)
    for name, value in expected.items():
        np.testing.assert_allclose(sums[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([CLS, 5, 6, SEP, 0, 0, 0, 0], "11100000"),
        ([CLS, 5, 6, 7, 8, 5, 6, SEP], "11111100"),
        # The first piece of a longer text, and a document that ends within joined ones.
        ([CLS, 5, 6, 7, 8, 5, SEP, 0], "11111000"),
        ([CLS, 5, SEP, 7, 8, 5, 6, SEP], "11111100"),
    ],
)
def test_places_with_a_next_token(ids, expected):
    tokens = jnp.asarray([ids])
    found = has_next({"input_ids": tokens, "attention_mask": tokens > 0}, SEP)
    assert "".join(map(str, np.asarray(found[0], int))) == expected


@cache
def update(micro_batches: int, devices: int, parallel: Mode):
    """The gradient and the terms of an update."""
    student, teacher = models()
    params = jax.device_get(split(student)[1])  # the update consumes them
    machine = Parallel(ParallelConfig(parallel=parallel, devices=devices))
    step = machine.compile(lambda axis: make_step(objective(), GRADIENTS, 10, axis))
    constants = {"teacher": split(teacher)[1]}
    state, constants = machine.replicate((init_state(params, GRADIENTS), constants))
    return jax.device_get(step(state, constants, machine.place(batch(micro_batches)), KEYS))


@pytest.mark.long
@pytest.mark.parametrize(
    "divided", [(2, 1, "jit"), (1, 2, "jit"), (1, 2, "pmap")], ids=["micro", "jit", "pmap"]
)
def test_division_of_the_rows_changes_nothing(divided):
    (state, metrics), (expected, expected_metrics) = update(*divided), update(1, 1, "jit")
    for name in ("loss", *LOSS.terms()):
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-6, err_msg=name)
    assert tiny.difference(state.params, expected.params) < 1e-5


def test_a_weight_changes_over_the_run():
    loss = CausalLoss(ce=NextTokenKL(weight=(1.0, 0.0), temperature=(4.0, 1.0)))
    numbers = [objective(loss).numbers(jnp.float32(share))["ce"] for share in (0, 0.5, 1)]
    assert [float(each["temperature"]) for each in numbers] == [4.0, 2.5, 1.0]
    assert all(a["weight"] > b["weight"] for a, b in pairwise(numbers))
