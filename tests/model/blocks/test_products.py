"""The precision of matrix products: float32 means float32, also on a TPU and a GPU."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.blocks.platform import made_for
from model.blocks.products import einsum, matmul
from tests import tiny
from train.objectives.distillation import DistillationObjective
from train.objectives.terms import AttentionScores, DistillationLoss, Relations
from train.update.keys import keys_of
from train.update.optimizer import OptimizerConfig, make_optimizer
from train.update.parallel import Parallel, ParallelConfig
from train.update.step import init_state, make_step, split

PRODUCT = re.compile(r"stablehlo\.dot_general .*")
OPERANDS = re.compile(r": \(tensor<(?:\d+x)*(\w+)>, tensor<(?:\d+x)*(\w+)>\)")


def products_of_an_update(dtype: str, loss: DistillationLoss) -> list[str]:
    """The matrix products of an update of distillation, as users lower it."""
    teacher, student = (
        split(tiny.model(config.replace(dtype=dtype))) for config in (tiny.TEACHER, tiny.STUDENT)
    )
    structures = student[0], teacher[0]
    objective = DistillationObjective(*structures, tiny.MASKING, tiny.MASK_ID, loss.terms())
    optimizer = make_optimizer(OptimizerConfig(), 10)
    machine = Parallel(ParallelConfig(devices=1))
    step: Any = machine.compile(partial(make_step, objective, optimizer, 10))
    constants = {"log_weights": jnp.asarray(tiny.log_weights()), "teacher": teacher[1]}
    inputs = init_state(student[1], optimizer), constants, machine.place(tiny.batch()), keys_of(0)
    with made_for("tpu"):
        lowered = step.trace(*inputs).lower(lowering_platforms=("tpu",))
    return PRODUCT.findall(lowered.as_text())


LOSSES = {
    "triple": DistillationLoss(),
    "of layers": DistillationLoss(
        attention=AttentionScores(weight=1.0), relations=Relations(weight=1.0)
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("loss", LOSSES)
def test_float32_is_multiplied_as_float32_forward_and_backward(loss):
    products = products_of_an_update("float32", LOSSES[loss])
    assert len(products) > 3 * 3 * 6  # layers of student and teacher, forward and backward
    assert all(line.count("HIGHEST") == 2 for line in products)


@pytest.mark.parametrize("loss", LOSSES)
def test_bfloat16_is_multiplied_by_bfloat16_forward_and_backward(loss):
    products = products_of_an_update("bfloat16", LOSSES[loss])
    assert len(products) > 3 * 3 * 6
    assert not any("HIGH" in line for line in products)
    for line in products:
        assert OPERANDS.findall(line) == [("bf16", "bf16")], line


@pytest.mark.parametrize("spec", ["...qd,...kd->...qk", "bqnd,bknd->bnqk", "...h,vh->...v"])
def test_gradients_of_bfloat16_are_those_of_float32(spec):
    """Up to its rounding; forward mode and second derivatives too, of stacks as of one."""
    shapes = {"...h,vh->...v": ((2, 3, 8), (5, 8))}.get(spec, ((2, 3, 4, 8), (2, 3, 4, 8)))
    draws = iter(jax.random.split(jax.random.key(0), 3))
    a, b = (jax.random.normal(next(draws), shape, jnp.bfloat16) for shape in shapes)
    weights = jax.random.normal(next(draws), jax.eval_shape(partial(einsum, spec), a, b).shape)

    def loss(a, b):
        return jnp.sum(jnp.sin(einsum(spec, a, b, jnp.float32)) * weights)

    def curvature(a, b):
        return jax.jvp(jax.grad(loss, (0, 1)), (a, b), (a, b))[1]

    for derivative in (
        jax.grad(loss, (0, 1)),
        lambda a, b: jax.jvp(loss, (a, b), (a, b))[1],
        curvature,
        lambda a, b: jax.vmap(jax.grad(loss))(jnp.stack([a, 2 * a]), jnp.stack([b, b])),
    ):
        with made_for("gpu"):  # whose gradients are our own
            found = jax.jit(derivative)(a, b)
        exact = derivative(a.astype(jnp.float32), b.astype(jnp.float32))
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
            scale = float(jnp.max(jnp.abs(other)))
            np.testing.assert_allclose(one.astype(jnp.float32), other, atol=0.02 * scale)


@pytest.mark.parametrize(("platform", "sums"), [("cpu", "f32"), ("gpu", "bf16"), ("tpu", "bf16")])
def test_cpus_are_asked_for_sums_of_bfloat16_in_float32(platform, sums):
    """Their processors give sums in float32; these are then rounded."""
    draw = np.random.default_rng(0)
    a, b = (jnp.asarray(draw.normal(size=(8, 8)), jnp.bfloat16) for _ in range(2))
    with made_for(platform):
        for product in (matmul, partial(einsum, "ik,kj->ij")):
            assert product(a, b).dtype == jnp.bfloat16
            lowered = jax.jit(lambda a, b, product=product: product(a, b)).lower(a, b).as_text()
            [line] = PRODUCT.findall(lowered)
            assert line.endswith(f"-> tensor<8x8x{sums}>")
    exact = np.asarray(a, np.float64) @ np.asarray(b, np.float64)
    rounded = jnp.asarray(exact, jnp.float32).astype(jnp.bfloat16)
    np.testing.assert_allclose(
        matmul(a, b).astype(jnp.float32), rounded.astype(jnp.float32), rtol=2**-8
    )


def test_the_environment_of_the_tests_asks_for_no_precision():
    assert jax.config.values["jax_default_matmul_precision"] is None
