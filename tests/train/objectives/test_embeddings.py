"""The contrast with the whole batch, however many devices share it."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tasks.embeddings.kind import Pairs
from tests import tiny
from tests.small import DISTILBERT, build
from train.objectives.finetuning import TaskLoss, TaskObjective
from train.update.keys import keys_of
from train.update.optimizer import Optimizer
from train.update.parallel import Mode, Parallel, ParallelConfig
from train.update.step import init_state, make_step

ROWS, LENGTH = 16, 10
KIND = Pairs(query_length=6, negatives=1, answers=2)
CALM = DISTILBERT.replace(num_layers=1, hidden_dropout=0.0, attention_dropout=0.0)
# A step with this gives the gradient where the new parameters would be.
GRADIENTS = Optimizer(lambda params: (), lambda gradients, *state: (gradients, (), {}))


def make_batch(micro_batches: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    ids = random.integers(1, 50, (ROWS, LENGTH, 3)).astype(np.int32)
    mask = np.arange(LENGTH)[None, :, None] < random.integers(3, LENGTH, (ROWS, 1, 3))
    mask[::3, :, 2] = False
    mask[:, KIND.query_length :, 0] = False
    documents = np.stack([np.arange(ROWS) % 12, np.arange(ROWS) + 20], axis=1).astype(np.int32)
    documents[::3, 1] = -1
    right = np.stack([documents[:, 0], (documents[:, 0] + 5) % 12], axis=1).astype(np.int32)
    batch = {
        "input_ids": ids,
        "attention_mask": mask,
        "documents": documents,
        "right": right,
        "teacher_vectors": random.normal(size=(ROWS, 3, 5)).astype(np.float32) / 2,
        "valid": np.arange(ROWS) != 9,
    }
    return {n: a.reshape(micro_batches, -1, *a.shape[1:]) for n, a in batch.items()}


@cache
def gradient(parallel: Mode = "jit", devices: int = 1, micro_batches: int = 1) -> Any:
    graphdef, params = nnx.split(build(KIND.new_model, CALM))
    objective = TaskObjective(graphdef, KIND, TaskLoss(temperature=3.0))
    machine = Parallel(ParallelConfig(parallel=parallel, devices=devices))
    step = machine.compile(lambda axis: make_step(objective, GRADIENTS, 10, axis))
    state = machine.replicate(init_state(nnx.to_pure_dict(params), GRADIENTS))
    batch = machine.place(make_batch(micro_batches))
    state, metrics = step(state, {}, batch, keys_of(0))
    return jax.device_get((state.params, metrics))


@pytest.mark.long
@pytest.mark.parametrize(("parallel", "devices"), [("jit", 4), ("pmap", 4)])
def test_devices_change_nothing(parallel, devices):
    params, metrics = gradient()
    other, other_metrics = gradient(parallel, devices)
    for name in ("loss", "task", "soft"):
        np.testing.assert_allclose(other_metrics[name], metrics[name], rtol=1e-6, err_msg=name)
    assert tiny.difference(other, params) < 1e-6


def test_micro_batches_have_fewer_negatives():
    """Each is compared in itself: a documented deviation."""
    assert gradient(micro_batches=4)[1]["task"] < gradient()[1]["task"]


def test_queries_are_read_in_their_own_length():
    """As if they were padded like the documents."""
    graphdef, params = nnx.split(build(KIND.new_model, CALM))
    batch = {name: jnp.asarray(array[0]) for name, array in make_batch().items()}

    @jax.jit
    def vectors(params):
        model = nnx.merge(graphdef, params)
        return [kind.forward(model, batch)["vectors"] for kind in (KIND, Pairs(query_length=None))]

    short, padded = vectors(params)
    np.testing.assert_allclose(short, padded, atol=1e-6)
