"""The gradients of the terms of a loss, each alone: their lengths, and the angles between them.

Each times its weight, they add up to the gradient of the update. So they tell what weights do not:
which terms move the student, and which pull against each other.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from model.blocks.products import einsum
from report.gradients import cosine_name, norm_name, weighted_norm_name
from train.objectives.objective import DeviceBatch, Objective, Scalars
from train.update.keys import Keys
from train.update.optimizer import trained_leaves
from train.update.step import Observation, TrainState, make_gradient, numbers_at


def make_term_gradients(
    objective: Objective,
    total_steps: int,
    frozen: Sequence[str] = (),
    axis_name: str | None = None,
) -> Observation:
    """Builds `measure(state, constants, batch, keys) -> metrics`, a pure function.

    It is asked what `make_step` is asked, and answers for that update: the masks, the dropout and
    the denominators are the same, and the state stays as it is. There is a backward pass for each
    term, one after the other. With g and h the gradients of the means of terms a and b, over all
    parameters that are not `frozen`, and w the present weight of a:

    gradient_norm_A: |g|.
    gradient_weighted_norm_A: w |g|.
    gradient_cosine_A_B: g h / (|g| |h|), and 0 where one has length 0.
    """
    gradient = make_gradient(objective, total_steps, axis_name)

    def measure(state: TrainState, constants: Any, batch: DeviceBatch, keys: Keys) -> Scalars:
        now = numbers_at(objective, state.step, total_steps)
        terms = list(now)

        def alone(one):
            weights = dict(zip(terms, one, strict=True))
            gradients, _, _ = gradient(state, constants, batch, keys, weights)
            return trained_leaves(gradients, frozen)

        count = len(terms)
        each = [leaf.reshape(count, -1) for leaf in jax.lax.map(alone, jnp.eye(count))]
        products = sum(
            (einsum("tp,up->tu", leaf, leaf, jnp.float32) for leaf in each),
            start=jnp.zeros((count, count)),
        )
        norms = jnp.sqrt(jnp.diagonal(products))
        metrics = {}
        for a, term in enumerate(terms):
            metrics[norm_name(term)] = norms[a]
            metrics[weighted_norm_name(term)] = now[term]["weight"] * norms[a]
            for b in range(a):
                both = norms[a] * norms[b]
                cosine = jnp.where(both > 0, products[a, b] / jnp.where(both > 0, both, 1), 0)
                metrics[cosine_name(terms[b], term)] = cosine
        return metrics

    return measure
