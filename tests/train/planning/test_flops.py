"""Matrix products are counted right: against the formula for a Transformer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.config import tiny_bert
from tests import transformer_flops as formula
from train.planning.abstract_step import abstract_step
from train.planning.flops import matmul_flops
from train.recipes import DISTILL, PRETRAIN

BERT = tiny_bert()


def test_a_product_counts_two_for_every_pair_of_factors():
    def product(a, b):
        return jnp.einsum("bij,bjk->bik", a, b)

    assert matmul_flops(product, jnp.ones((3, 4, 5)), jnp.ones((3, 5, 6))) == 2 * 3 * 4 * 5 * 6


def test_a_scan_counts_as_often_as_it_runs_and_a_branch_once():
    matrix = jnp.ones((4, 4))

    def program(x):
        def again(x, _):
            return jax.lax.cond(x[0, 0] > 0, lambda x: x @ matrix @ matrix, jnp.tanh, x), None

        return jax.lax.scan(again, x, None, length=7)[0]

    assert matmul_flops(jax.jit(program), matrix) == 7 * 2 * 2 * 4**3


@pytest.mark.long
def test_pretraining_is_three_times_the_forward_pass():
    recipe = PRETRAIN["tiny"]()
    rows, length = 32, 64
    step = abstract_step(recipe, 10)
    predicted = rows // 2 * int(np.ceil(0.15 * 2 * length))  # drawn over two rows together
    layers, head = formula.encoder(BERT, rows, length), formula.vocabulary_head(BERT, predicted)
    expected = 3 * (layers + head)
    assert matmul_flops(step.make(None), *step.arguments(rows)) == expected
    assert matmul_flops(step.make(None), *step.arguments(rows // 4, 4)) == expected


@pytest.mark.long
def test_distillation_adds_the_teachers_forward_pass():
    rows, length = 32, 64
    step = abstract_step(DISTILL["tiny"](), 10)
    # The masked-LM term looks at logits that the KL needs anyway.
    expected = formula.distillation(BERT, BERT.distilled(6), rows, length)
    assert matmul_flops(step.make(None), *step.arguments(rows)) == expected
