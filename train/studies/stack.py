"""Students that train together: stacked along an axis, in one program, with one teacher.

A stack is `jax.vmap` over the very step that trains a student alone. What all share (the batch, its
masks, the keys of dropout, the teacher) has no such axis and is computed once: the teacher reads
each batch once for the whole stack. Each student of a stack therefore learns what it would learn
alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from model.blocks.flash import without_cudnn
from report.gradients import gradient_names
from train.config import DistillConfig, StudentConfig
from train.distill import frozen
from train.objectives.distillation import DistillationObjective
from train.objectives.objective import DeviceBatch
from train.objectives.terms import DistillationLoss, LogitTerm, Term, numbers_of
from train.update.keys import Keys
from train.update.optimizer import make_optimizer
from train.update.step import Observation, Step, TrainState, make_step
from train.update.term_gradients import make_term_gradients


@dataclass(frozen=True)
class Stack:
    """Students that differ only in numbers and in the weights that they start with."""

    students: Mapping[str, DistillConfig]
    """By name, in the order of the axis."""
    graphdef: nnx.GraphDef
    terms: Mapping[str, Term]
    """All that some student asks for; it has weight 0 for the others."""

    @property
    def shared(self) -> DistillConfig:
        """A configuration whose fields, but for the numbers, hold for all."""
        return next(iter(self.students.values()))

    def numbers(self) -> dict[str, Any]:
        """The numbers of every student, along the axis: of the optimizer, and of the terms."""
        losses = [config.loss for config in self.students.values()]
        ends = {}
        for name, term in self.terms.items():
            each = [numbers_of(getattr(loss, name)) for loss in losses]
            ends[name] = {
                option: jnp.asarray([numbers[option] for numbers in each], jnp.float32)
                for option in numbers_of(term)
            }
        optimizers = [config.optimizer for config in self.students.values()]
        own = {
            "peak": [optimizer.learning_rate for optimizer in optimizers],
            "clip": [optimizer.clip_norm for optimizer in optimizers],
        }
        return {
            **{name: jnp.asarray(each, jnp.float32) for name, each in own.items()},
            "ends": ends,
        }

    def objective(
        self, teacher: nnx.GraphDef, mask_id: int, numbers: Mapping[str, Any] | None = None
    ) -> DistillationObjective:
        """The objective of a student, with its own numbers where some are given."""
        return DistillationObjective(
            self.graphdef,
            teacher,
            self.shared.masking,
            mask_id,
            self.terms,
            mean=self.shared.loss.mean,
            numbers=numbers,
            answers=self.shared.answers,
            stored=self.shared.teacher_cache is not None,
        )


def make_stacks(
    students: Mapping[str, DistillConfig], graphdefs: Mapping[str, nnx.GraphDef]
) -> list[Stack]:
    """Groups students into few stacks: a student joins a stack whose terms include its own.

    Two whose terms do not include each other stay apart: each would compute the other's terms.
    """
    groups: list[list[str]] = []
    for name in sorted(students, key=lambda name: -len(students[name].loss.terms())):
        for group in groups:
            first = group[0]
            alike = _shape(students[name], graphdefs[name]) == _shape(
                students[first], graphdefs[first]
            )
            if alike and _is_part(students[name].loss.terms(), students[first].loss.terms()):
                group.append(name)
                break
        else:
            groups.append([name])
    in_order = list(students)
    stacks = [
        Stack(
            {name: students[name] for name in sorted(group, key=in_order.index)},
            graphdefs[group[0]],
            students[group[0]].loss.terms(),
        )
        for group in groups
    ]
    return sorted(stacks, key=lambda stack: in_order.index(next(iter(stack.students))))


def _shape(config: DistillConfig, graphdef: nnx.GraphDef) -> Any:
    """All that is compiled into a step, but for the terms: no number of `Stack`, and no start."""
    optimizer = replace(config.optimizer, learning_rate=0.0, clip_norm=0.0)
    plain = replace(config, optimizer=optimizer, loss=DistillationLoss(), student=StudentConfig())
    return plain, graphdef, config.loss.mean


def _is_part(terms: Mapping[str, Term], of: Mapping[str, Term]) -> bool:
    """True for terms that are among others, with the same options, and train the head if these do.

    Numbers are no options: they may differ in a stack.
    """
    same = all(name in of and _options(term) == _options(of[name]) for name, term in terms.items())
    heads = [any(isinstance(t, LogitTerm) for t in each.values()) for each in (terms, of)]
    return same and heads[0] == heads[1]


def _options(term: Term) -> dict[str, Any]:
    return {f.name: getattr(term, f.name) for f in fields(term) if f.name not in numbers_of(term)}


def stacked_state(stacks: Sequence[Stack], students: Mapping[str, Any]) -> TrainState:
    """The state before training, of parameters (nested dicts of arrays) by student.

    Those of a stack are under its place, "0", "1" and so on.
    """
    params, opt_states = {}, {}
    for place, stack in enumerate(stacks):
        members = [students[name] for name in stack.students]
        params[str(place)] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
        config = stack.shared
        optimizer = make_optimizer(config.optimizer, total_steps=1, frozen=frozen(config))
        opt_states[str(place)] = jax.vmap(optimizer.init)(params[str(place)])
    return TrainState(params, opt_states, jnp.zeros((), jnp.int32))


def unstacked(stacks: Sequence[Stack], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of every student by name."""
    return {
        name: jax.tree.map(lambda leaf, at=index: leaf[at], params[str(place)])
        for place, stack in enumerate(stacks)
        for index, name in enumerate(stack.students)
    }


def constants_of(constants: Mapping[str, Any], place: int) -> dict[str, Any]:
    """The constants of the stack at this place: all have masks of their own."""
    return {**constants, "log_weights": constants["log_weights"][place]}


def make_stacked_step(
    stacks: Sequence[Stack], teacher: nnx.GraphDef, mask_id: int, total_steps: int
) -> Step:
    """Builds the step of all stacks; a metric's name begins with its student's: "student/loss".

    Its constants are the teacher's parameters, and `log_weights` of the masking of each stack.
    """

    def step(state: TrainState, constants: Any, batch: DeviceBatch, keys: Keys):
        params, opt_state, metrics = {}, {}, {}
        opt_states: Any = state.opt_state  # a dict by stack, like the parameters
        for place, stack in enumerate(stacks):
            own_constants = constants_of(constants, place)

            def one(params, opt_state, numbers, stack=stack, own_constants=own_constants):
                config = stack.shared
                optimizer = make_optimizer(
                    config.optimizer,
                    total_steps,
                    frozen=frozen(config),
                    peak=numbers["peak"],
                    clip=numbers["clip"],
                )
                objective = stack.objective(teacher, mask_id, numbers["ends"])
                alone = make_step(objective, optimizer, total_steps)
                before = TrainState(params, opt_state, state.step)
                after, metrics = alone(before, own_constants, batch, keys)
                return after.params, after.opt_state, metrics

            key = str(place)
            with without_cudnn():
                params[key], opt_state[key], measured = jax.vmap(one)(
                    state.params[key], opt_states[key], stack.numbers()
                )
            for at, student in enumerate(stack.students):
                metrics |= {f"{student}/{name}": values[at] for name, values in measured.items()}
        return TrainState(params, opt_state, state.step + 1), metrics

    return step


def make_stacked_term_gradients(
    stacks: Sequence[Stack], teacher: nnx.GraphDef, mask_id: int, total_steps: int
) -> Observation:
    """Builds what measures the gradients of each student's own terms, see `make_term_gradients`.

    Names and constants are those of `make_stacked_step`.
    """

    def measure(state: TrainState, constants: Any, batch: DeviceBatch, keys: Keys):
        metrics = {}
        for place, stack in enumerate(stacks):
            own_constants = constants_of(constants, place)

            def one(params, numbers, stack=stack, own_constants=own_constants):
                objective = stack.objective(teacher, mask_id, numbers["ends"])
                alone = make_term_gradients(objective, total_steps, frozen(stack.shared))
                return alone(TrainState(params, (), state.step), own_constants, batch, keys)

            with without_cudnn():
                measured = jax.vmap(one)(state.params[str(place)], stack.numbers())
            for at, (student, config) in enumerate(stack.students.items()):
                own = gradient_names(config.loss.terms())
                metrics |= {f"{student}/{name}": measured[name][at] for name in own}
        return metrics

    return measure
