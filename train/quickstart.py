"""The first ten minutes: the worth of distillation, seen live on this machine.

    python -m train.quickstart
    python -m train.quickstart --seeds 5      # with intervals, as in docs/results/tiny-pair.md

The shipped twelve-layer teacher is distilled into six layers. The same student, with the same
start, the same batches, masks and number of updates, also learns without the teacher, by masked LM
alone; and one learns from the teacher but starts from random weights. Nothing is downloaded.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from data.open import open_data
from data.storage.mirror import on_disk
from data.tokenizer import load_vocabulary
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.ranges import Count, Seeds, check_settings
from model.tasks import LanguageModel, MaskedLM
from model.terminal import say
from report.quickstart import (
    ALONE,
    DISTILLED,
    RANDOM,
    START,
    TEACHER,
    ByModel,
    draw_accuracy,
    headline,
    quickstart_table,
    write_summary,
)
from report.reading_speed import sentences_per_second, sizes
from report.tables import terminal_table
from tasks.fill_mask import fill_masks
from train.command.cli import main, parse
from train.command.processes import check_alone
from train.config import DistillConfig
from train.distill import distill, initial_student
from train.loop.heldout import HeldOut
from train.objectives.projection import student_of
from train.recipes import distill as recipes_distill
from train.update.step import split

SENTENCES = (
    "Return a new [MASK] containing all the items.",
    "If the file does not [MASK], an exception is raised.",
    "The [MASK] of the array must be a positive integer.",
    "Raises an [MASK] if the argument is not valid.",
)


@dataclass(frozen=True)
class Quickstart:
    """Distil the shipped teacher and compare, in about ten minutes on two CPU cores."""

    output: Path = Path("runs/quickstart")
    """The folder of the runs, the table, the picture and the student."""
    teacher: str = recipes_distill.TINY_TEACHER
    """The model to distil."""
    steps: Count = 200
    """Updates of each of the three students."""
    seeds: Seeds = 1
    """The number of comparisons, each with its own order of the data and masks."""


def variants(recipe: DistillConfig) -> dict[str, DistillConfig]:
    """The three runs, by their names: each differs from the first in one thing."""
    alone = recipe.loss.with_weights(mlm=recipe.loss.mlm.weight)
    return {
        DISTILLED: recipe,
        ALONE: replace(recipe, loss=alone),
        RANDOM: replace(recipe, student=replace(recipe.student, layers="random")),
    }


def quickstart(config: Quickstart) -> None:
    """Runs all of it, printing as it goes, and leaves `config.output`/quickstart.md.

    Raises:
        InputError: a setting makes no sense, or the teacher cannot be used.
    """
    check_settings(config)
    check_alone("train.quickstart")
    config = replace(config, output=on_disk(config.output, "the quickstart's folder"))
    started = time.monotonic()
    recipe = replace(recipes_distill.distill_tiny(), teacher=config.teacher, steps=config.steps)
    recipe = replace(recipe, evaluate_every=max(config.steps // 4, 1))
    checkpoint = open_checkpoint(config.teacher)
    teacher = load(checkpoint, MaskedLM)
    say("", f"1. The teacher ({config.teacher}) fills in masks")
    vocabulary = load_vocabulary(checkpoint.place)
    longest = teacher.config.max_positions
    filled_in = fill_masks(
        teacher, vocabulary, SENTENCES, top=3, rows=len(SENTENCES), lengths=(longest,)
    )
    for sentence, (guesses, *_) in zip(SENTENCES, filled_in, strict=True):
        filled = ", ".join(f"{piece} {share:.0%}" for piece, share in guesses)
        say(f"  {sentence:<56} {filled}")

    data = open_data(replace(recipe.data, tokenizer=checkpoint.place))
    special = data.vocabulary.special
    heldout = HeldOut(data.heldout, data.train.counts, special, rows=recipe.batch_size)

    def measure(model: LanguageModel) -> dict[str, float]:
        student, params = split(model)
        graphdef, teacher_params = split(teacher)
        return heldout.evaluator(student, graphdef)(params, teacher_params)

    fixed = {TEACHER: measure(teacher)}
    say(
        f"On held-out text it guesses {fixed[TEACHER]['masked_lm_accuracy']:.1%} of the masked "
        f"tokens; always guessing the most frequent gives {fixed[TEACHER]['unigram_accuracy']:.1%}."
    )

    results: list[ByModel] = []
    folder = config.output
    for number in range(config.seeds):
        seed = recipe.seed + number
        folder = config.output / f"seed-{seed}" if config.seeds > 1 else config.output
        seeded = replace(recipe, seed=seed)
        start = student_of(initial_student(teacher, seeded))
        scores = {**fixed, START: measure(start)}
        for place, (name, variant) in enumerate(variants(seeded).items(), 2):
            say("", f"{place}. {name.capitalize()} (seed {seed})")
            run = folder / name.replace(" ", "-")
            distill(replace(variant, output=run))
            scores[name] = measure(load(run / "model", MaskedLM))
        results.append(scores)

    model = folder / DISTILLED / "model"
    models = {TEACHER: teacher, DISTILLED: load(model, MaskedLM)}
    speeds = sentences_per_second(
        {name: each.backbone for name, each in models.items()},
        sentences=32,
        length=recipe.data.sequence_length,
        repeats=20,
    )
    measured = {name: {**sizes(each), "speed": speeds[name]} for name, each in models.items()}
    table = terminal_table("On held-out text", *quickstart_table(results, measured), compact=True)
    say("")
    # A file or a pipe has no width of its own: 80 columns would break the table.
    width = None if sys.stdout.isatty() else 120
    Console(highlight=False, markup=False, width=width).print(table)
    seconds = time.monotonic() - started
    write_summary(config.output, results, measured, steps=config.steps, seconds=seconds)
    draw_accuracy(folder, config.output / "curves.png")
    say(
        "",
        headline(results),
        "",
        f"All of it took {seconds / 60:.1f} minutes. Table and curves: "
        f"{config.output / 'quickstart.md'}",
        f"The student is in {model}; in transformers:",
        f"  DistilBertForMaskedLM.from_pretrained({str(model)!r})",
    )


if __name__ == "__main__":
    main(
        lambda: quickstart(
            parse(Quickstart, prog="python -m train.quickstart", description=__doc__)
        )
    )
