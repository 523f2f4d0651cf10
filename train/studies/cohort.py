"""The students of a study, in one program that is compiled once for all seeds."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from data.clock import seconds_since
from data.open import Data
from model.blocks.flash import without_cudnn
from model.errors import InputError
from model.tasks import MaskedLM
from report.tables import duration
from train.config import DistillConfig
from train.distill import (
    check_answers,
    check_loss,
    controls_of,
    exported,
    initial_student,
    teacher_and_data,
)
from train.loop.fit import fit
from train.loop.fit_text import facts, text_batches, title
from train.loop.heldout import MASKING, held_out, heldout_sums, one_by_one
from train.loop.heldout_text import means
from train.loop.learner import Learner, export
from train.loop.memory import gigabytes, memory_limit, memory_needed, out_of_memory
from train.objectives.objective import DeviceBatch
from train.objectives.projection import student_of
from train.studies.config import folder_name
from train.studies.results import LEFT_OUT
from train.studies.stack import (
    constants_of,
    make_stacked_step,
    make_stacked_term_gradients,
    make_stacks,
    stacked_state,
    unstacked,
)
from train.teacher_cache.open import stored_answers
from train.update.keys import keys_of
from train.update.parallel import StackParallel
from train.update.step import Observation, TrainState, split


def open_cohorts(
    base: DistillConfig, students: Mapping[str, DistillConfig], shown: str
) -> list["Cohort"]:
    """The students of a study, ready to be trained: those with equal numbers of updates together.

    The first has the study's own number, where some student has it.

    Raises:
        InputError: teacher, students and data do not fit together, or not into memory.
    """
    cohorts = cohorts_of(base, students, shown)
    for cohort in cohorts:
        cohort.compile()
    return cohorts


def cohorts_of(
    base: DistillConfig, students: Mapping[str, DistillConfig], shown: str
) -> list["Cohort"]:
    """The same, before anything is compiled.

    Raises:
        InputError: teacher, students and data do not fit together.
    """
    own = base.steps, base.epochs
    lengths = dict.fromkeys((config.steps, config.epochs) for config in students.values())
    opened = teacher_and_data(base)
    return [
        Cohort(
            replace(base, steps=steps, epochs=epochs),
            {n: c for n, c in students.items() if (c.steps, c.epochs) == (steps, epochs)},
            shown,
            opened,
        )
        for steps, epochs in sorted(lengths, key=lambda length: length != own)
    ]


class Cohort:
    """The students of a study by name; once compiled they are trained with one seed after another.

    `base` has the settings that all share, also their number of updates; `shown` is the held-out
    metric that is printed.

    Raises:
        InputError: students do not fit to teacher and data.
    """

    def __init__(
        self,
        base: DistillConfig,
        students: Mapping[str, DistillConfig],
        shown: str,
        opened: tuple[MaskedLM, Data],
    ):
        self.base, self.students, self.shown = base, students, shown
        self.teacher, self.data = opened
        self.mask_id = self.data.vocabulary.special.mask
        self.models = self.initial(base.seed)
        for name, config in students.items():
            student = student_of(self.models[name]).config
            try:
                check_loss(config, student, self.teacher.config)
                check_answers(config)
            except InputError as error:
                raise InputError(f"variant {name!r}: {error}") from error
        self.stacks = make_stacks(students, {n: nnx.graphdef(m) for n, m in self.models.items()})
        self.parallel = StackParallel(base.run, [len(stack.students) for stack in self.stacks])
        for stack in self.stacks:
            groups = stack.shared.masking.group_rows
            self.parallel.check_rows(base.batch_size, base.micro_batches, groups)
        self.teacher_graphdef, teacher_params = split(self.teacher)
        text = self.data.train.counts, self.data.vocabulary.special
        weights = [
            stack.objective(self.teacher_graphdef, self.mask_id).constants(*text)["log_weights"]
            for stack in self.stacks
        ]
        self.constants = self.parallel.replicate(
            {
                "teacher": teacher_params,
                "log_weights": weights,
                **controls_of(students.values(), self.teacher),
            }
        )
        self.answers = stored_answers(base, self.teacher, self.data)
        self.batches = text_batches(base, self.data, self.parallel, self.answers)
        self.steps = base.updates(self.batches.updates_per_epoch)
        self.observation: Observation | None = None
        both = any(one_by_one(stack.shared.masking) != MASKING for stack in self.stacks)
        self.heldouts = [held_out(stack.shared, self.data, both=both) for stack in self.stacks]
        self._sums = jax.jit(self._heldout_sums)

    def initial(self, seed: int) -> dict[str, nnx.Module]:
        """The students before training."""
        return {
            name: initial_student(self.teacher, replace(config, seed=seed))
            for name, config in self.students.items()
        }

    def state(self, students: Mapping[str, nnx.Module]) -> TrainState:
        """The state of all stacks before training."""
        params = {name: split(model)[1] for name, model in students.items()}
        return self.parallel.place_state(stacked_state(self.stacks, params))

    def first_inputs(self) -> tuple[Any, ...]:
        """The arguments of the first update with the first seed."""
        batch = self.parallel.place(self.batches.batch(0))
        keys = self.parallel.replicate(keys_of(self.base.seed))
        return self.state(self.models), self.constants, batch, keys

    def compile_term_gradients(self) -> Any:
        """Compiles what measures the gradients of the students' terms."""
        parts = self.stacks, self.teacher_graphdef, self.mask_id, self.steps
        measure: Any = self.parallel.compile_observation(
            lambda axis: make_stacked_term_gradients(*parts)
        )
        return measure.lower(*self.first_inputs()).compile()

    def compile(self) -> None:
        """Compiles the programs of the training, and measures their memory and time.

        Raises:
            InputError: they need more memory than there is.
        """
        with out_of_memory(lambda: "; fewer variants need less, too"):
            self._compile()

    def _compile(self) -> None:
        parts = self.stacks, self.teacher_graphdef, self.mask_id, self.steps
        step: Any = self.parallel.compile(lambda axis: make_stacked_step(*parts))
        state, *inputs = self.first_inputs()
        self.step = step.lower(state, *inputs).compile()
        self.memory = memory_needed(self.step)
        if self.base.term_gradients:
            measure = self.compile_term_gradients()
            self.memory = max(self.memory, memory_needed(measure))
            self.observation = measure
        limit, count = memory_limit(), len(self.students)
        if self.memory > limit:
            raise InputError(
                f"{count} students need {gigabytes(self.memory)} of memory and there are "
                f"{gigabytes(limit)}: about {int(count * limit / self.memory)} would fit; leave "
                "out variants, or give more --micro-batches"
            )
        state, _ = jax.block_until_ready(self.step(state, *inputs))
        start = time.perf_counter()
        jax.block_until_ready(self.step(state, *inputs))
        self.seconds = seconds_since(start)

    def metrics(self) -> list[str]:
        """The names of the metrics that all students have, without those of fine-tuning."""
        batch = self.parallel.place_rows(next(self.heldouts[0].batches()))
        params = self.state(self.models).params
        sums = self._sums.eval_shape(params, self.constants, batch)
        each = [
            [*held, "clipped_share", *(f"loss_{term}" for term in stack.terms)]
            for stack, held in zip(self.stacks, sums, strict=True)
        ]
        common = set(each[0]).intersection(*each[1:])
        return [name for name in each[0] if name in common and name not in LEFT_OUT]

    def plan(self, seeds: int, left: int) -> str:
        """One sentence: students and updates to run, and the time and memory that they need."""
        students = len(self.students)
        stacks = "one stack" if len(self.stacks) == 1 else f"{len(self.stacks)} stacks"
        blocks = "one seed" if seeds == 1 else f"{seeds} seeds"
        return (
            f"{students} students in {stacks}, {blocks} of {self.steps:,} updates"
            + (f", {seeds - left} of them done" if left < seeds else "")
            + f": {self.seconds:.2f} s an update of all, about "
            f"{duration(self.seconds * self.steps * left)} without evaluation and fine-tuning; "
            f"{gigabytes(self.memory)} of {gigabytes(memory_limit())} memory"
        )

    def train(self, seed: int, folder: Path) -> None:
        """Trains all students with this seed, or resumes their training.

        Each is left in a folder of `folder`/model; `folder`/metrics.jsonl has "student/metric".
        """
        config = replace(self.base, seed=seed, output=folder)
        fit(
            config,
            kind="ablate",
            title=title(config, self.data),
            learner=Learner(
                self.state(self.initial(seed)), self.step, self.export, self.observation
            ),
            batches=text_batches(config, self.data, self.parallel, self.answers),
            parallel=self.parallel,
            constants=self.constants,
            evaluate=self.evaluate,
            facts=facts(self.data, answers=self.answers),
            shown=lambda name: name.endswith(f"/{self.shown}"),
        )

    def evaluate(self, params: Any, constants: dict[str, Any]) -> dict[str, float]:
        """The held-out metrics of all students, "student/metric"."""
        place = self.parallel.place_rows
        total = self.heldouts[0].total(lambda batch: self._sums(params, constants, place(batch)))
        metrics: dict[str, float] = {}
        for stack, sums in zip(self.stacks, total, strict=True):
            for at, student in enumerate(stack.students):
                own = means(jax.tree.map(lambda array, at=at: array[at], sums))
                metrics |= {f"{student}/{name}": value for name, value in own.items()}
        return metrics

    def _heldout_sums(
        self, params: Any, constants: dict[str, Any], batch: DeviceBatch
    ) -> list[dict[str, Any]]:
        """The sums and counts of every stack, along its axis of students."""
        result = []
        for place, stack in enumerate(self.stacks):
            model = self.models[next(iter(stack.students))]
            objective = stack.objective(self.teacher_graphdef, self.mask_id)
            sums = heldout_sums(self.heldouts[place], model, objective, self.teacher_graphdef)
            own_constants = constants_of(constants, place)
            each = jax.vmap(sums, in_axes=(0, None, None))
            with without_cudnn():
                result.append(each(params[str(place)], own_constants, batch))
        return result

    def export(self, params: Any, folder: Path) -> None:
        """Writes every student as a Hugging Face folder."""
        students = unstacked(self.stacks, params)
        for stack in self.stacks:
            part = exported(stack.objective(self.teacher_graphdef, self.mask_id))
            for name in stack.students:
                model = nnx.merge(stack.graphdef, jax.tree.map(jnp.asarray, students[name]))
                export(part(model), self.data.vocabulary, folder / folder_name(name))
