"""The share that a student keeps: its interval beside scipy's bootstrap and all possible draws."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from eval.kept.resampling import kept_shares


def right_answers(values):
    """A model's score on chosen examples, from those of each."""
    return lambda chosen: float(np.mean([values[at] for at in chosen]))


@pytest.mark.long
def test_examples_are_drawn_for_both_models_together():
    """One fine-tuning each: the paired bootstrap of a ratio of means, of two tasks."""
    random = np.random.default_rng(1)
    teacher = {"a": random.random(200) < 0.9, "b": random.random(100) < 0.7}
    # Mostly right where the teacher is: an unpaired interval would be wider.
    student = {task: own & (random.random(len(own)) < 0.95) for task, own in teacher.items()}
    found, each = kept_shares(
        {7: {task: right_answers(own) for task, own in teacher.items()}},
        [{7: {task: right_answers(own) for task, own in student.items()}}],
        {"a": 200, "b": 100},
        {"a": 0.5, "b": 0.6},
        draws=1000,
    )

    def share(ta, sa, tb, sb):
        return (sa.mean() + sb.mean()) / (ta.mean() + tb.mean())

    arrays = [side[task].astype(float) for task in "ab" for side in (teacher, student)]
    assert found.share.value == pytest.approx(share(*arrays))
    draws = []
    for _ in range(1000):  # pairs within each task, the tasks apart
        a, b = random.integers(200, size=200), random.integers(100, size=100)
        draws.append(share(arrays[0][a], arrays[1][a], arrays[2][b], arrays[3][b]))
    limits = np.percentile(draws, (2.5, 97.5))
    assert (found.share.low, found.share.high) == pytest.approx(tuple(limits), abs=0.004)
    means = [np.mean([side[task].mean() for task in "ab"]) for side in (teacher, student)]
    assert found.teacher.value == pytest.approx(means[0])
    assert found.above_guessing.value == pytest.approx((means[1] - 0.55) / (means[0] - 0.55))
    for task, guessed in (("a", 0.5), ("b", 0.6)):
        own = [side[task].mean() for side in (teacher, student)]
        assert each[task].share.value == pytest.approx(own[1] / own[0])
        above = (own[1] - guessed) / (own[0] - guessed)
        assert each[task].above_guessing.value == pytest.approx(above)


@pytest.mark.long
def test_one_task_is_the_paired_bootstrap_of_scipy():
    random = np.random.default_rng(2)
    teacher = random.random(300)
    student = 0.9 * teacher + 0.05 * random.random(300)
    found, _ = kept_shares(
        {1: {"a": right_answers(teacher)}},
        [{1: {"a": right_answers(student)}}],
        {"a": 300},
        {"a": 0.0},
        draws=1000,
    )
    expected = stats.bootstrap(
        (student, teacher),
        lambda s, t, axis: s.mean(axis) / t.mean(axis),
        paired=True,
        method="percentile",
        n_resamples=1000,
        rng=random,
    ).confidence_interval
    width = expected.high - expected.low
    assert found.share.low == pytest.approx(expected.low, abs=0.1 * width)
    assert found.share.high == pytest.approx(expected.high, abs=0.1 * width)


@pytest.mark.long
def test_students_and_seeds_are_drawn_inside_each_other():
    """Scores that do not depend on the examples: every possible draw can be counted."""
    teacher = {1: 0.8, 2: 0.9, 3: 0.7}
    students = [{1: 0.7, 2: 0.75}, {2: 0.8, 3: 0.6}]

    def models(scores):
        return {seed: {"a": lambda chosen, s=score: s} for seed, score in scores.items()}

    found, _ = kept_shares(
        models(teacher), [models(s) for s in students], {"a": 20}, {"a": 0.0}, draws=2000
    )
    every = []
    for one, other in product(students, students):
        for seeds in product(*(product(s, s) for s in (one, other))):
            drawn = zip((one, other), seeds, strict=True)
            pairs = [(scores[n], teacher[n]) for scores, own in drawn for n in own]
            every.append(sum(s for s, _ in pairs) / sum(t for _, t in pairs))
    assert len(every) == 64  # all with the same probability
    assert found.share.value == pytest.approx((0.7 + 0.75 + 0.8 + 0.6) / (0.8 + 0.9 + 0.9 + 0.7))
    assert found.share.low == pytest.approx(np.percentile(every, 2.5), abs=0.01)
    assert found.share.high == pytest.approx(np.percentile(every, 97.5), abs=0.01)
