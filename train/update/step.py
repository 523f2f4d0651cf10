"""One training update: the same function for every loop, on one device or many.

The denominators come first. How many tokens are attended and how many are predicted is known as
soon as the batch is masked, so every micro-batch on every device divides its sums by the counts of
the whole update. One device, eight devices and four accumulated micro-batches then give the same
gradient, also when they hold different numbers of predicted tokens.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float32, Int32

from train.objectives.losses import weighted_sum
from train.objectives.objective import DeviceBatch, LossInputs, Numbers, Objective, Params, Scalars
from train.update.keys import Keys
from train.update.optimizer import Optimizer


class TrainState(NamedTuple):
    """All that a run carries from update to update, and all that a checkpoint holds."""

    params: Params
    opt_state: optax.OptState
    step: Int32[Array, ""]


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Any]:
    """A model as (structure, parameters), the parameters a plain nested dict of arrays."""
    graphdef, params = nnx.split(model, nnx.Param)
    return graphdef, nnx.to_pure_dict(params)


Step = Callable[[TrainState, Any, DeviceBatch, Keys], tuple[TrainState, Scalars]]
Observation = Callable[[TrainState, Any, DeviceBatch, Keys], Scalars]
"""A function of what a step is given, which changes nothing."""
Gradient = Callable[..., tuple[Params, Scalars, Mapping[str, Any]]]


def init_state(params: Params, optimizer: Optimizer) -> TrainState:
    """The state before the first update."""
    return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))


def numbers_at(objective: Objective, step: Int32[Array, ""], total_steps: int) -> Numbers:
    """The numbers of an objective in the update that comes after `step` others."""
    return objective.numbers(step.astype(jnp.float32) / max(total_steps - 1, 1))


def make_gradient(objective: Objective, total_steps: int, axis_name: str | None = None) -> Gradient:
    """Builds `gradient(state, constants, batch, keys, weights=None)`, a pure function.

    It is that of the update which comes after `state`; the arguments are those of `make_step`. With
    `weights`, by term, these take the place of the objective's own.

    Returns:
        The gradient, the means of all terms, and the weights.
    """

    def everywhere(tree):
        return tree if axis_name is None else jax.lax.psum(tree, axis_name)

    def denominators(batch: DeviceBatch) -> dict[str, Float32[Array, " micro"]]:
        counts = {
            name: jnp.sum(where, axis=range(1, where.ndim), dtype=jnp.float32)
            for name, where in objective.where(batch).items()
        }
        if objective.mean == "tokens":
            counts = {n: jnp.full_like(c, everywhere(jnp.sum(c))) for n, c in counts.items()}
        else:
            counts = {n: everywhere(c) * c.size for n, c in counts.items()}
        # At least 1: a term with nothing to predict is 0, not 0 / 0.
        return jax.tree.map(lambda n: jnp.maximum(n, 1.0), counts)

    def gradient(
        state: TrainState,
        constants: Any,
        batch: DeviceBatch,
        keys: Keys,
        weights: Mapping[str, Any] | None = None,
    ):
        with jax.named_scope("prepare"):
            key = jax.random.fold_in(keys.masking, state.step)
            batch = objective.prepare(constants, batch, key)
        numbers = numbers_at(objective, state.step, total_steps)
        dropout_key = jax.random.fold_in(keys.dropout, state.step)
        if axis_name is not None:
            dropout_key = jax.random.fold_in(dropout_key, jax.lax.axis_index(axis_name))

        own = {name: now["weight"] for name, now in numbers.items()}
        chosen = own if weights is None else weights

        def loss(params, micro_batch, index, counts):
            rngs = nnx.Rngs(dropout=jax.random.fold_in(dropout_key, index))
            shares = {name: chosen[name] / counts[name] for name in chosen}
            with jax.named_scope("losses"):
                value, sums = objective.loss(
                    LossInputs(params, constants, micro_batch, rngs, numbers, shares, axis_name)
                )
            return value, {name: sums[name] / counts[name] for name in sums}

        def accumulate(total, inputs):
            gradients, means = jax.grad(loss, has_aux=True)(state.params, *inputs)
            return jax.tree.map(jnp.add, total, (gradients, means)), None

        counts = denominators(batch)
        inputs = batch, jnp.arange(batch["input_ids"].shape[0]), counts
        zeros = jax.tree.map(jnp.zeros_like, state.params), dict.fromkeys(counts, jnp.float32(0))
        (gradients, means), _ = jax.lax.scan(accumulate, zeros, inputs)
        gradients, means = everywhere((gradients, means))
        return gradients, means, chosen

    return gradient


def make_step(
    objective: Objective,
    optimizer: Optimizer,
    total_steps: int,
    axis_name: str | None = None,
) -> Step:
    """Builds `step(state, constants, batch, keys) -> (state, metrics)`, a pure function.

    Args:
        objective: the function to minimise.
        optimizer: makes new parameters of gradients.
        total_steps: updates of the run, over which the objective's numbers change.
        axis_name: the pmap axis to sum over; None where one program sees the whole batch. Under
            pmap the device's index is folded into the dropout key: masks of dropout then differ
            from those of one device, masked tokens do not.

    `batch` holds arrays [micro, rows, ...]; `constants` whatever the objective reads but does not
    train. Metrics are the means of all terms, their weighted sum `loss`, and the optimizer's.
    """
    gradient = make_gradient(objective, total_steps, axis_name)

    def step(state: TrainState, constants: Any, batch: DeviceBatch, keys: Keys):
        gradients, means, weights = gradient(state, constants, batch, keys)
        with jax.named_scope("optimizer"):
            params, opt_state, stats = optimizer.update(
                gradients, state.opt_state, state.params, state.step
            )
        metrics = {"loss": weighted_sum(means, weights), **means, **stats}
        return TrainState(params, opt_state, state.step + 1), metrics

    return step
