"""What it saves to train the students of a study together: ratios measured in one go.

    python -m eval.timing.study                       # an update of five students, tiny
    python -m eval.timing.study --size base           # BERT-base and five DistilBERT-base
    python -m eval.timing.study --commands            # whole commands, from start to exit

An update of the five students of `paper-table-4` against five updates of one student, by turns.
With --commands: `train.ablate` for one seed against `train.distill` once a student, each a process
of its own that starts, compiles, trains, evaluates and exports.
"""

import math
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from rich.console import Console

from data.storage.atomic import check_writable
from data.storage.provenance import provenance, write_json_atomic
from eval.timing.updates import SIZES, SPECIAL, TOTAL_STEPS, FlaxStep, in_turn, random_batch
from model.errors import at_least_one
from model.tasks import MaskedLM
from report.reading_speed import seconds_by_turns
from report.tables import terminal_table
from train.config import DistillConfig
from train.objectives.objective import DeviceBatch
from train.studies.catalogue import paper_table_4
from train.studies.config import Variant, folder_name, variants_of
from train.studies.stack import make_stacked_step, make_stacks, stacked_state
from train.update.keys import keys_of
from train.update.step import TrainState, split


@dataclass(frozen=True)
class SpeedStudy:
    """Time the students of a study together against each alone."""

    size: Literal["base", "tiny"] = "tiny"
    """BERT-base and DistilBERT-base, or the pair of the tiny recipes."""
    batch_size: int | None = None
    """Sequences an update; by default 16 of 64 tokens, or 8 of 128 for `base`."""
    sequence_length: int | None = None
    """Tokens in a sequence."""
    repeats: int = 5
    """How often each is timed, after once that is not."""
    commands: bool = False
    """Time whole commands at the tiny size instead."""
    steps: int = 200
    """Updates of each command."""
    json: Path | None = None
    """A file for every number, the versions and the machine."""


def speed_study(config: SpeedStudy) -> dict[str, Any]:
    """Measures, prints, and writes the file that was asked for.

    Raises:
        InputError: a setting makes no sense.
    """
    at_least_one(config, "batch_size", "sequence_length", "repeats", "steps")
    check_writable(config.json)
    result = commands(config.steps) if config.commands else updates(config)
    together, alone = (float(np.median(times)) for times in result["seconds"].values())
    count = result["students"]
    each = alone if config.commands else count * alone
    lines = [
        [f"{count} students together", f"{together:.3g}"],
        [f"{count} alone, one after the other", f"{each:.3g}"],
    ]
    console = Console(highlight=False)
    console.print(terminal_table(result["what"], ["", "seconds"], lines))
    console.print(f"Together it takes {together / each:.0%} of the time.")
    if config.json is not None:
        about = {"settings": config, "provenance": provenance()}
        write_json_atomic(config.json, {**result, **about})
    return result


def updates(config: SpeedStudy) -> dict[str, Any]:
    """Times of an update of the five together, and of one alone."""
    shapes = [make() for make in SIZES[config.size]]
    tiny = config.size == "tiny"
    rows = config.batch_size or (16 if tiny else 8)
    length = config.sequence_length or (64 if tiny else 128)
    teacher = MaskedLM(shapes[0], rngs=nnx.Rngs(0))
    students = {
        name: replace(variant, masking=replace(variant.masking, group_rows=math.gcd(8, rows)))
        for name, variant in variants_of(paper_table_4()).items()
    }
    batches = [random_batch(shapes[1], rows, length, seed) for seed in range(config.repeats + 2)]
    # The step that trains a student alone, and not a stack of one, which is slower.
    alone = FlaxStep(MaskedLM(shapes[1], rngs=nnx.Rngs(0)), teacher, batches[0])
    functions = {
        "together": updater(teacher, students, batches),
        "alone": in_turn(alone, batches),
    }
    return {
        "what": f"An update at the size {config.size}, {rows} x {length} tokens",
        "students": len(students),
        "seconds": seconds_by_turns(functions, repeats=config.repeats),
    }


def updater(
    teacher: MaskedLM, students: dict[str, DistillConfig], batches: Iterable[DeviceBatch]
) -> Callable[[], object]:
    """A function that makes one update of these students at every call."""
    shape = teacher.config.distilled(teacher.config.num_layers // 2)
    models = {name: MaskedLM(shape, rngs=nnx.Rngs(n)) for n, name in enumerate(students)}
    stacks = make_stacks(students, {name: nnx.graphdef(model) for name, model in models.items()})
    graphdef, teacher_params = split(teacher)
    state = stacked_state(stacks, {name: split(model)[1] for name, model in models.items()})
    step = jax.jit(make_stacked_step(stacks, graphdef, SPECIAL - 1, TOTAL_STEPS), donate_argnums=0)
    log_weights = jnp.where(jnp.arange(shape.vocab_size) < SPECIAL, -jnp.inf, 0.0)
    smoothings = {str(config.masking.smoothing) for config in students.values()}
    constants = {"teacher": teacher_params, "log_weights": dict.fromkeys(smoothings, log_weights)}
    keys, left = keys_of(0), iter(batches)
    states: list[TrainState] = [state]

    def update() -> object:
        after, metrics = step(states.pop(), constants, next(left), keys)
        states.append(after)
        return metrics

    return update


def commands(steps: int) -> dict[str, Any]:
    """Seconds of one `train.ablate` and of a `train.distill` for every variant, start to exit."""
    study = paper_table_4()
    with tempfile.TemporaryDirectory() as folder:
        base = study.base
        shared = f"--steps {steps} --batch-size {base.batch_size} --evaluate-every {steps}"
        shared += f" --heldout-sequences {base.heldout_sequences}"
        ablate = f"train.ablate {study.name} --seeds 1 {shared} --output {folder}/together"
        together = _seconds(ablate)
        alone = [
            _seconds(
                f"train.distill tiny {shared} {_flags(v)} --output {folder}/{folder_name(v.name)}"
            )
            for v in study.variants
        ]
    return {
        "what": f"Whole commands, {steps} updates at the size tiny",
        "students": len(study.variants),
        "seconds": {"together": [together], "alone": [sum(alone)]},
    }


def _flags(variant: Variant) -> str:
    settings = variant.settings.items()
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings)


def _seconds(command: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    from train.command.cli import main

    main(
        lambda: speed_study(
            tyro.cli(SpeedStudy, prog="python -m eval.timing.study", description=__doc__)
        )
    )
