"""Curvature of whole losses, whose gradients are written by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import tiny
from tests.train.objectives.test_vocabulary import GIVEN, NUMBERS, SHARES, STUDENT, chunked, plain
from train.objectives.distillation import MaskedLMObjective
from train.objectives.objective import LossInputs
from train.update.parallel import Parallel, ParallelConfig
from train.update.step import split


def direction(tree, seed=5):
    random = np.random.default_rng(seed)
    leaves, of_tree = jax.tree.flatten(tree)
    return of_tree.unflatten([jnp.asarray(random.normal(size=x.shape), x.dtype) for x in leaves])


def products(loss, at, along):
    """The Hessian of `loss` times a direction, by both orders of derivatives."""

    def slope(x):
        return jax.jvp(loss, (x,), (along,))[1]

    return {
        "forward over reverse": jax.jvp(jax.grad(loss), (at,), (along,))[1],
        "reverse over forward": jax.grad(slope)(at),
    }


@pytest.mark.long
def test_curvature_of_the_losses_over_the_vocabulary():
    along = direction(STUDENT)
    found = jax.jit(lambda: products(lambda x: chunked(x)[0], STUDENT, along))()
    gradient = jax.grad(lambda x: plain(x)[0])
    expected = jax.jit(lambda: jax.jvp(gradient, (STUDENT,), (along,))[1])()
    for order, product in found.items():
        assert tiny.difference(product, expected) < 1e-5, order


@pytest.mark.long
def test_every_result_has_its_derivative_for_every_input():
    """The sums of single terms too, and teacher, temperatures and weights: none is silently 0."""
    inputs = STUDENT, GIVEN.teacher, NUMBERS, SHARES
    inputs = jax.tree.map(jnp.float32, inputs)
    along = direction(inputs)

    def results(loss, inputs):
        student, teacher, *numbers = inputs
        return loss(student, GIVEN._replace(teacher=teacher), *numbers)

    def derivatives(loss):
        value, pull = jax.vjp(partial(results, loss), inputs)
        _, tangents = jax.jvp(partial(results, loss), (inputs,), (along,))
        return tangents, pull(direction(value))

    found, expected = (jax.jit(partial(derivatives, loss))() for loss in (chunked, plain))
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


def objective(remat=False):
    """The loss of pretraining as a function of parameters and a batch, and such a pair."""
    model = tiny.model(tiny.STUDENT)
    model.backbone.encoder.remat = remat
    structure, params = split(model)
    made = MaskedLMObjective(structure, tiny.MASKING, tiny.MASK_ID)
    constants = {"log_weights": jnp.asarray(tiny.log_weights())}
    rows = jax.tree.map(jnp.asarray, tiny.batch(8))
    batch = made.prepare(constants, rows, jax.random.key(0, impl="rbg"))

    def loss(params, batch):
        inputs = LossInputs(params, constants, batch, None, {"mlm": {"weight": 1.0}}, {"mlm": 0.2})
        return made.loss(inputs)[0]

    return loss, params, jax.tree.map(lambda array: array[0], batch)


def curvature(loss, params, batch):
    """The Hessian of a loss times a direction."""

    def gradient(params):
        return jax.grad(loss)(params, batch)

    return jax.jvp(gradient, (params,), (direction(params),))[1]


@pytest.fixture(scope="module")
def expected():
    loss, params, batch = objective()
    return jax.jit(partial(curvature, loss))(params, batch)


@pytest.mark.long
def test_curvature_of_a_model_is_the_change_of_its_gradient(expected):
    """By central differences, which have an error of a few 1e-4 here in float32."""
    loss, params, batch = objective()
    gradient = jax.jit(lambda params: jax.grad(loss)(params, batch))
    changed = tiny.change(gradient, params, direction(params), 2e-3)
    assert tiny.difference(expected, changed) < 1e-2


@pytest.mark.slow
def test_curvature_of_a_model_by_the_other_order(expected):
    loss, params, batch = objective()
    found = jax.jit(lambda batch: products(lambda x: loss(x, batch), params, direction(params)))(
        batch
    )
    assert tiny.difference(found["reverse over forward"], expected) < 1e-5


@pytest.mark.slow
def test_curvature_with_activations_computed_again(expected):
    loss, params, batch = objective(remat=True)
    found = jax.jit(partial(curvature, loss))(params, batch)
    assert tiny.difference(found, expected) < 1e-5


@pytest.mark.slow
def test_curvature_over_a_mesh(expected):
    loss, params, batch = objective()
    machine = Parallel(ParallelConfig(devices=4))
    rows = {name: jax.device_put(array, machine.by_rows) for name, array in batch.items()}
    found = jax.jit(partial(curvature, loss))(machine.replicate(params), rows)
    assert tiny.difference(jax.device_get(found), expected) < 1e-5


@pytest.mark.slow
def test_curvature_under_pmap(expected):
    loss, params, batch = objective()

    def on_device(batch):
        return jax.lax.psum(curvature(loss, params, batch), "data")

    parts = {name: array.reshape(4, -1, *array.shape[1:]) for name, array in batch.items()}
    found = jax.tree.map(lambda leaf: leaf[0], jax.pmap(on_device, "data")(parts))
    assert tiny.difference(jax.device_get(found), expected) < 1e-5
