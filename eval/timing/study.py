"""The students of a study trained together, against each alone: ratios measured at one time.

An update of the five students of `paper-table-4` against five updates of one student, alternately.
Or whole commands: `train.ablate` for one seed against `train.distill` once a student, each a
process of its own that starts, compiles, trains, evaluates and exports.
"""

import math
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from flax import nnx
from rich.console import Console

from data.clock import seconds_since
from eval.timing.measurement import announced
from eval.timing.settings import SIZES, StudySpeed
from eval.timing.updates import SPECIAL, TOTAL_STEPS, FlaxStep, cycled, plain_words, random_batch
from model.tasks import MaskedLM
from model.terminal import say
from report.reading_speed import time_alternately
from report.tables import duration, terminal_table
from train.config import DistillConfig
from train.objectives.objective import DeviceBatch
from train.studies.catalogue import paper_table_4
from train.studies.config import Variant, folder_name, variants_of
from train.studies.stack import make_stacked_step, make_stacks, stacked_state
from train.update.keys import keys_of
from train.update.step import TrainState, split


def measure_study(settings: StudySpeed, console: Console) -> dict[str, Any]:
    """Seconds of the students together and of one alone, or of each command; prints them."""
    result = time_commands(settings.steps) if settings.commands else time_updates(settings)
    together, alone = (float(np.median(times)) for times in result["seconds"].values())
    count = result["students"]
    each = alone if settings.commands else count * alone
    lines = [
        [f"{count} students together", f"{together:.3g}"],
        [f"{count} alone, one after the other", f"{each:.3g}"],
    ]
    console.print(terminal_table(result["what"], ["", "seconds"], lines))
    console.print(f"Together it takes {together / each:.0%} of the time.")
    return result


def time_updates(settings: StudySpeed) -> dict[str, Any]:
    """Times of an update of the five together, and of one alone."""
    tiny = settings.size == "tiny"
    rows = settings.batch_size or (16 if tiny else 8)
    length = settings.sequence_length or (64 if tiny else 128)
    shape, smaller = SIZES[settings.size]
    teacher = MaskedLM(shape, rngs=nnx.Rngs(0))
    students = {
        name: replace(variant, masking=replace(variant.masking, group_rows=math.gcd(8, rows)))
        for name, variant in variants_of(paper_table_4()).items()
    }
    batches = [random_batch(smaller, rows, length, seed) for seed in range(settings.repeats + 2)]
    # The step that trains a student alone, and not a stack of one, which is slower.
    alone = FlaxStep(MaskedLM(smaller, rngs=nnx.Rngs(0)), teacher, batches[0])
    functions = {
        "together": updater(teacher, students, batches),
        "alone": cycled(alone, batches),
    }
    return {
        "what": f"An update at the size {settings.size}, {rows} x {length} tokens",
        "students": len(students),
        "seconds": time_alternately(
            functions, repeats=settings.repeats, announce=announced("updates of all and of one")
        ),
    }


def updater(
    teacher: MaskedLM, students: dict[str, DistillConfig], batches: Iterable[DeviceBatch]
) -> Callable[[], object]:
    """A function that makes one update of all these students at every call."""
    shape = teacher.config.distilled(teacher.config.num_layers // 2)
    models = {name: MaskedLM(shape, rngs=nnx.Rngs(n)) for n, name in enumerate(students)}
    stacks = make_stacks(students, {name: nnx.graphdef(model) for name, model in models.items()})
    graphdef, teacher_params = split(teacher)
    state = stacked_state(stacks, {name: split(model)[1] for name, model in models.items()})
    step = jax.jit(make_stacked_step(stacks, graphdef, SPECIAL - 1, TOTAL_STEPS), donate_argnums=0)
    weights = [plain_words(shape.vocab_size)] * len(stacks)
    constants = {"teacher": teacher_params, "log_weights": weights}
    keys, endless = keys_of(0), iter(batches)
    states: list[TrainState] = [state]

    def update() -> object:
        after, metrics = step(states.pop(), constants, next(endless), keys)
        states.append(after)
        return metrics

    return update


def time_commands(steps: int) -> dict[str, Any]:
    """Seconds of one `train.ablate` and of a `train.distill` for every variant, start to exit."""
    study = paper_table_4()
    with tempfile.TemporaryDirectory() as folder:
        base = study.base
        shared = f"--steps {steps} --batch-size {base.batch_size} --evaluate-every {steps}"
        shared += f" --heldout-sequences {base.heldout_sequences}"
        ablate = f"train.ablate {study.name} --seeds 1 {shared} --output {folder}/together"
        say(f"train.ablate for one seed, then train.distill for {len(study.variants)} students")
        together = _seconds(ablate)
        say(f"together they took {duration(together)}; one after the other may take twice that")
        alone = [
            _seconds(
                f"train.distill tiny {shared} {flags_of(v)} --output {folder}/{folder_name(v.name)}"
            )
            for v in study.variants
        ]
    return {
        "what": f"Whole commands, {steps} updates at the size tiny",
        "students": len(study.variants),
        "seconds": {"together": [together], "alone": [sum(alone)]},
    }


def flags_of(variant: Variant) -> str:
    """The settings of a variant as flags of `train.distill`."""
    settings = variant.settings.items()
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings)


def _seconds(command: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], check=True, stdout=subprocess.DEVNULL
    )
    return seconds_since(start)
