"""The share of a teacher's mean score that its students keep, with an interval by the bootstrap.

The share is a ratio of two means over tasks, fine-tunings and students. A draw of the bootstrap
(Efron and Tibshirani 1993, chapters 8 and 13) takes with replacement, from the outside in, the
students (one for each seed of their training), the seeds of each one's fine-tunings, and the
examples of every task. Examples are the same for all models of a draw, and the teacher is counted
with those seeds with which the student is: so what both have from an example or from an order of
the data is not taken for a difference. The interval is from the 2.5th to the 97.5th percentile.

n units of a level vary by (n - 1) / n of their variance in a bootstrap: with two students the share
of the variance that is theirs is halved, and a level of one unit does not vary at all.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from jaxtyping import Float

Scorer = Callable[[Sequence[int]], float]
"""The score of a model on chosen examples of a task, which may be chosen more than once."""
ByTask = Mapping[str, Scorer]
BySeedAndTask = Mapping[int, ByTask]
"""The fine-tunings of one model, by seed and task."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class KeptShare:
    """The share of a teacher's score that students keep, and of what it has above guessing."""

    teacher: Estimate
    student: Estimate
    share: Estimate
    above_guessing: Estimate


def kept_shares(
    teacher: BySeedAndTask,
    students: Sequence[BySeedAndTask],
    examples: Mapping[str, int],
    guessing: Mapping[str, float],
    *,
    draws: int,
) -> tuple[KeptShare, dict[str, KeptShare]]:
    """The share of the mean over the tasks of `examples`, and that of each task.

    `examples` has the number of examples of each task, and `guessing` the score of always giving
    the same answer. The teacher has all seeds that some student has.
    """
    random = np.random.default_rng(0)
    whole = [(student, list(student)) for student in students]
    drawn = [_both(teacher, whole, {task: range(count) for task, count in examples.items()})]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of correlations of few values
        for _ in range(draws):
            chosen = {
                task: random.integers(count, size=count).tolist()
                for task, count in examples.items()
            }
            some = [students[place] for place in random.integers(len(students), size=len(students))]
            seeds = [(one, random.choice(list(one), size=len(one)).tolist()) for one in some]
            drawn.append(_both(teacher, seeds, chosen))
    sides = np.array(drawn)
    mean = _estimates(sides.mean(axis=2), fmean(guessing[task] for task in examples))
    each = {
        task: _estimates(sides[:, :, place], guessing[task]) for place, task in enumerate(examples)
    }
    return mean, each


def mean_score(
    teacher: BySeedAndTask, students: Sequence[BySeedAndTask], examples: Mapping[str, int]
) -> float:
    """The mean score of a teacher over the tasks, with the seeds of the students."""
    whole = [(student, list(student)) for student in students]
    everything = {task: range(count) for task, count in examples.items()}
    return fmean(_both(teacher, whole, everything)[0])


def _estimates(sides: Float[np.ndarray, "draws 2"], guessed: float) -> KeptShare:
    """Of the scores of teacher and student, of which the first are those of all examples."""
    teacher, student = sides.T
    with np.errstate(divide="ignore", invalid="ignore"):
        above = (student - guessed) / (teacher - guessed)
        each = teacher, student, student / teacher, above
    return KeptShare(
        *(
            Estimate(float(numbers[0]), *map(float, np.percentile(numbers[1:], (2.5, 97.5))))
            for numbers in each
        )
    )


def _both(
    teacher: BySeedAndTask,
    students: Sequence[tuple[BySeedAndTask, Sequence[int]]],
    chosen: Mapping[str, Sequence[int]],
) -> tuple[list[float], list[float]]:
    """The scores of teacher and students by task, means over seeds, which may be there often."""
    known: dict[tuple[int, int], list[float]] = {}

    def scores(model: BySeedAndTask, seed: int) -> list[float]:
        place = id(model), seed
        if place not in known:
            known[place] = [model[seed][task](places) for task, places in chosen.items()]
        return known[place]

    pairs = [
        (scores(teacher, seed), scores(student, seed))
        for student, seeds in students
        for seed in seeds
    ]
    each = (list(map(fmean, zip(*side, strict=True))) for side in zip(*pairs, strict=True))
    of_teacher, of_student = each
    return of_teacher, of_student
