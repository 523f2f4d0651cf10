"""Successive halving of a study's variants, and the comparison of its winner with the default.

Jamieson & Talwalkar 2016 ("Non-stochastic best arm identification and hyperparameter
optimization", figure 1) train all candidates a little, keep the better half, and train that twice
as long. There a rung continues the training of the last one. Here every rung is a study of its own
with a complete schedule: the beginning of a long schedule, whose learning rate is still high, ranks
students otherwise than a short one that has ended.

The default, the first variant, may also be better with another learning rate, so as many rates of
it as there are candidates climb the same rungs. What is left of both meets the default on seeds and
text that chose nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.errors import InputError
from model.terminal import say
from report.naming import DOWNSTREAM
from report.study.comparison import MIN_SEEDS
from report.study.folder import STUDY, read_declaration, read_study
from report.study.search import Ladder, SearchRung, VariantSearch
from report.tables import duration
from train.config import DistillConfig
from train.studies.cohort import Cohort
from train.studies.config import HALVING, StudyConfig, Variant, variants_of
from train.studies.operations import stack_operations

OCTAVES = 3
"""The rates of the default are at most 2 to this power times its own, and as often below it."""

Announce = Callable[[Sequence[Cohort]], None]
"""Is called when the students of a study are compiled, before the first update."""
RunStudy = Callable[[StudyConfig, Announce | None], Path]


@dataclass(frozen=True)
class Pool:
    """Students of which one is to be left, by name, and the rungs that it has climbed."""

    variants: Mapping[str, Variant]
    rungs: tuple[SearchRung, ...] = ()

    @property
    def left(self) -> tuple[str, ...]:
        """The students of the next rung."""
        return self.rungs[-1].kept if self.rungs else tuple(self.variants)

    def ladder(self) -> Ladder:
        """The record of it for the report."""
        return Ladder({name: v.settings for name, v in self.variants.items()}, self.rungs)


def halved(study: StudyConfig, run: RunStudy) -> StudyConfig:
    """The study of the winner, the default, and the default at its best learning rate.

    The winner is the reference. Rungs are studies below the folder of this one; those that are done
    are not run again.

    Raises:
        InputError: the study cannot be searched, or its folder holds something else.
    """
    default = study.variants[0]
    configs = variants_of(study)
    pools = [
        Pool({variant.name: _alone(variant) for variant in study.variants}),
        Pool(rates_of(default, configs[default.name], len(study.variants))),
    ]
    sizes = rung_sizes(len(study.variants))

    def announce(cohorts: Sequence[Cohort]) -> None:
        say(budget(study, pools, sizes, cohorts))

    text = ""
    for number in range(len(sizes)):
        trial = rung_study(study, pools, number, len(sizes))
        say("", f"rung {number + 1} of {len(sizes)}, seed {trial.base.seed}")
        run(trial, announce if number == 0 else None)
        values = {
            name: each[trial.base.seed]
            for name, each in read_study(trial.base.output).values(study.primary).items()
        }
        declared = read_declaration(trial.base.output)
        text = declared.record["facts"]["heldout_sequences"]
        pools = [_climbed(study, pool, values, trial, declared.steps) for pool in pools]
        for what, pool in zip(("candidates", f"rates of {default.name}"), pools, strict=True):
            say(f"kept of the {what}: {', '.join(pool.left)}")
    candidates, rates = pools
    (winner,), (rate,) = candidates.left, rates.left
    finalists = {winner: replace(candidates.variants[winner], about="the winner of the search")}
    finalists[default.name] = replace(_alone(default), about="the default")
    tuned = replace(rates.variants[rate], about="the default at its best learning rate")
    finalists.setdefault(rate, tuned)
    return replace(
        study,
        base=_on_text(study, "reporting"),
        variants=tuple(finalists.values()),
        halving=False,
        search=VariantSearch(default.name, candidates.ladder(), rates.ladder(), text),
    )


def _alone(variant: Variant) -> Variant:
    """The variant without its place among the others, and so without what that place says of it."""
    return replace(variant, against=None, published=None, levels={})


def check_halving(study: StudyConfig) -> None:
    """Raises InputError for a study that cannot be searched."""
    rungs = len(rung_sizes(len(study.variants)))
    if not rungs:
        raise InputError(
            "--halving chooses among the variants of a study, and this has "
            f"{len(study.variants)}: declare more, or a [search]"
        )
    if study.seeds < MIN_SEEDS:
        raise InputError(
            f"--seeds is {study.seeds}, and --halving compares its winner on at least {MIN_SEEDS} "
            "seeds that chose nothing: give as many"
        )
    if study.base.seed < rungs:
        raise InputError(
            f"--seed is {study.base.seed}, and the {rungs} rungs of --halving take the seeds "
            f"before it: give {rungs} or more"
        )
    if study.tune:
        raise InputError("--halving searches, and so does --tune: leave out one of them")
    if study.primary.startswith(DOWNSTREAM):
        raise InputError(
            f"--primary is {study.primary}, and --halving selects on held-out text: name a metric "
            "of that"
        )
    if study.base.data.heldout_part != "all":
        raise InputError(
            "--halving divides the held-out text itself: leave out --data.heldout-part"
        )
    steps, least = study.base.steps, 2 ** (rungs - 1)
    if steps is not None and steps < least:
        raise InputError(
            f"--steps is {steps}, and the first of the {rungs} rungs has a {least}th of it: give "
            f"{least} or more"
        )
    for name, config in variants_of(study).items():
        if (config.steps, config.epochs) != (steps, study.base.epochs):
            raise InputError(
                f"variant {name!r} has a number of updates of its own, and --halving gives every "
                "rung one: leave it out"
            )
    default, *others = study.variants
    rates = rates_of(default, variants_of(study)[default.name], len(study.variants))
    for variant in others:
        if variant.name in rates:
            raise InputError(
                f"variant {variant.name!r} has the name of the default at another learning rate, "
                "which --halving tries as well: rename it"
            )
    declared = study.base.output / STUDY
    if declared.exists() and read_declaration(study.base.output).search is None:
        raise InputError(
            f"{study.base.output} holds a study without --halving: choose another folder with "
            "--output"
        )


def rung_sizes(candidates: int) -> list[int]:
    """The candidates of every rung, halved (and rounded up) until one is left."""
    sizes = []
    while candidates > 1:
        sizes.append(candidates)
        candidates = math.ceil(candidates / 2)
    return sizes


def rates_of(default: Variant, config: DistillConfig, count: int) -> dict[str, Variant]:
    """The default at so many learning rates, in equal ratios, its own among them."""
    step = min(1.0, OCTAVES / (count // 2))
    found = {}
    for number in range(-(count // 2), count - count // 2):
        rate = float(f"{config.optimizer.learning_rate * 2 ** (number * step):.3g}")
        name = f"{default.name} at {rate:g}" if number else default.name
        variant = default.at_rate(rate) if number else default
        found[name] = replace(_alone(variant), name=name, about="")
    return found


def rung_study(study: StudyConfig, pools: Sequence[Pool], number: int, rungs: int) -> StudyConfig:
    """The study of a rung, counted from 0: those that are left, for a share of the updates."""
    parts = 2 ** (rungs - 1 - number)
    base = _on_text(study, "selection")
    base = replace(
        base,
        output=study.base.output / HALVING / f"rung-{number + 1}",
        seed=study.base.seed - 1 - number,
        steps=None if base.steps is None else base.steps // parts,
        epochs=base.epochs / parts,
    )
    students = {name: pool.variants[name] for pool in pools for name in pool.left}
    return replace(
        study,
        title=f"{study.title}: rung {number + 1} of {rungs}",
        base=base,
        variants=tuple(students.values()),
        seeds=1,
        halving=False,
        controls=(),
        downstream=(),
        task_seeds=1,
        task_tune=(),
        file=None,
    )


def _on_text(study: StudyConfig, part: Any) -> DistillConfig:
    return replace(study.base, data=replace(study.base.data, heldout_part=part))


def _climbed(
    study: StudyConfig,
    pool: Pool,
    values: Mapping[str, float],
    trial: StudyConfig,
    updates: int,
) -> Pool:
    """The pool after a rung, with the better half of its students."""
    own = {name: values[name] for name in pool.left}
    sign = -1 if study.better == "higher" else 1
    order = sorted(own, key=lambda name: sign * own[name] if math.isfinite(own[name]) else math.inf)
    if not math.isfinite(own[order[0]]):
        raise InputError(
            f"all students of {trial.base.output} have diverged: give a smaller "
            "--optimizer.learning-rate"
        )
    kept = tuple(order[: math.ceil(len(order) / 2)])
    return replace(pool, rungs=(*pool.rungs, SearchRung(updates, trial.base.seed, own, kept)))


def budget(
    study: StudyConfig, pools: Sequence[Pool], sizes: Sequence[int], cohorts: Sequence[Cohort]
) -> str:
    """One sentence: the students, updates, operations and time of search and comparison.

    `cohorts` are those of the first rung, in whose programs time was measured. In smaller rungs
    fewer students share the teacher, so that they take a little longer than is estimated.
    """
    first = len({name for pool in pools for name in pool.left})
    # The default may be in both pools, and is then trained once.
    students = [first, *(2 * size for size in sizes[1:])]
    last = study.base.steps or cohorts[0].steps * 2 ** (len(sizes) - 1)
    updates = [last // 2 ** (len(sizes) - 1 - number) for number in range(len(sizes))]
    finalists = 3 * study.seeds
    search = sum(each * count for each, count in zip(students, updates, strict=True))
    final = last * finalists
    an_update = (
        sum(stack_operations(stack) for cohort in cohorts for stack in cohort.stacks) / first
    )
    seconds = sum(cohort.seconds for cohort in cohorts) / first
    rungs = ", ".join(
        f"{each} students x {count:,} updates"
        for each, count in zip(students, updates, strict=True)
    )
    return (
        f"--halving searches in {len(sizes)} rungs ({rungs}) and then compares up to 3 students "
        f"with {study.seeds} seeds ({last:,} updates): at most {sum(students) + finalists} "
        f"students, {search + final:,} updates of a student, {an_update * (search + final):.2g} "
        f"operations, about {duration(seconds * (search + final))} without compilation and "
        "evaluation"
    )
