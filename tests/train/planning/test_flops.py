"""Matrix products are counted right: against the formula for a Transformer, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from train.planning.abstract_step import abstract_step
from train.planning.flops import matmul_flops
from train.recipes import DISTILL, PRETRAIN


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


def forward(layers: int, width: int, feed_forward: int, tokens: int, length: int) -> int:
    """Of an encoder: four projections, two layers of the feed-forward, scores and context."""
    weights = layers * (4 * width**2 + 2 * width * feed_forward)
    return 2 * tokens * (weights + layers * 2 * length * width)


def head(width: int, vocabulary: int, positions: int) -> int:
    return 2 * positions * (width**2 + width * vocabulary)


def test_pretraining_is_three_times_the_forward_pass():
    recipe = PRETRAIN["tiny"]()
    rows, length, width = 32, 64, 128
    step = abstract_step(recipe, 10)
    predicted = rows // 2 * int(np.ceil(0.15 * 2 * length))  # drawn over two rows together
    expected = 3 * (forward(12, width, 512, rows * length, length) + head(width, 8192, predicted))
    assert matmul_flops(step.make(None), *step.arguments(rows)) == expected
    assert matmul_flops(step.make(None), *step.arguments(rows // 4, 4)) == expected


def test_distillation_adds_the_teachers_forward_pass():
    rows, length, width, vocabulary = 32, 64, 128, 8192
    tokens = rows * length
    step = abstract_step(DISTILL["tiny"](), 10)
    student = forward(6, width, 512, tokens, length) + head(width, vocabulary, tokens)
    teacher = forward(12, width, 512, tokens, length) + head(width, vocabulary, tokens)
    # The masked-LM term looks at logits that the KL needs anyway.
    assert matmul_flops(step.make(None), *step.arguments(rows)) == 3 * student + teacher
