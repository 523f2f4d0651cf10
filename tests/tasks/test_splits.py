"""Splits: groups stay together, and classes are spread as Adams's method says."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from model.errors import InputError
from tasks import splits
from tasks.kinds import KINDS
from tasks.questions.examples import Answer, QuestionExample
from tasks.splits import absent, shared
from tasks.texts.examples import TextExample
from tasks.words.examples import TaggedExample

divide: Any = splits.divide  # examples of every kind have fields of their own
draw: Any = splits.draw
CLASSES, VALUES, TAGS, ANSWERS = (
    KINDS[name] for name in ("classification", "regression", "tags", "answers")
)


def texts(*labels: str | float) -> tuple[TextExample, ...]:
    return tuple(TextExample(str(n), f"text {n}", None, label) for n, label in enumerate(labels))


def apportioned(counts: dict[str, int], seats: int, stay: int = 0) -> dict[str, int]:
    """Adams's method, seat by seat: the next goes to the class with most examples a seat.

    Of each class so many `stay` without.
    """
    given = dict.fromkeys(counts, 0)
    for _ in range(seats):
        weight = {c: counts[c] / given[c] if given[c] else np.inf for c in counts}
        weight = {c: w for c, w in weight.items() if given[c] < counts[c] - stay}
        given[max(weight, key=weight.__getitem__)] += 1
    return given


def shuffled(counts: dict[str, int], seed: int = 0) -> list[str]:
    labels = [name for name, count in counts.items() for _ in range(count)]
    random.Random(seed).shuffle(labels)
    return labels


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize(
    "counts", [{"a": 101, "b": 53, "c": 7, "d": 2}, {"a": 211, "b": 3}, {"a": 31, "b": 29, "c": 23}]
)
def test_a_division_has_the_classes_in_proportion(counts, share):
    examples = texts(*shuffled(counts))
    train, dev = divide(examples, share, CLASSES)
    assert sorted([*train, *dev], key=lambda e: int(e.id)) == list(examples)
    assert Counter(e.label for e in dev) == apportioned(counts, round(share * len(examples)), 1)
    assert divide(examples, share, CLASSES) == (train, dev)
    assert [int(e.id) for e in dev] != list(range(len(dev)))


@pytest.mark.parametrize("limit", [4, 9, 50, 162])
def test_a_limit_has_the_classes_in_proportion(limit):
    counts = {"a": 101, "b": 53, "c": 7, "d": 1}
    examples = texts(*shuffled(counts))
    drawn = draw(examples, limit, CLASSES)
    assert Counter(e.label for e in drawn) == apportioned(counts, limit)
    assert list(drawn) == sorted(drawn, key=lambda e: int(e.id))
    assert len(draw(examples, 2, CLASSES)) == 2


def test_a_rare_class_is_on_both_sides_even_beyond_the_share():
    examples = texts(*(str(n) for n in range(10)), *(str(n) for n in range(10)), "once")
    train, dev = divide(examples, 0.1, CLASSES)
    assert {e.label for e in dev} == {str(n) for n in range(10)}
    assert {e.label for e in train} == {*(str(n) for n in range(10)), "once"}
    sides = {"train": train, "dev": dev}
    assert absent(sides, CLASSES) == ["dev: no example of once"]


def test_a_class_for_each_example_is_divided_all_the_same():
    train, dev = divide(texts(*map(str, range(30))), 0.1, CLASSES)
    assert (len(train), len(dev)) == (27, 3)
    [sentence, _] = absent({"dev": dev, "train": train}, CLASSES)
    assert sentence.startswith("dev: no example of ") and sentence.endswith(" and 17 more")


def test_values_are_divided_at_random():
    examples = texts(*np.linspace(0, 1, 40).tolist())
    train, dev = divide(examples, 0.25, VALUES)
    assert (len(train), len(dev)) == (30, 10)
    assert absent({"train": train, "dev": dev}, VALUES) == []


@pytest.mark.parametrize("seed", range(20))
def test_groups_stay_together_and_keep_their_classes_on_both_sides(seed):
    dice = random.Random(seed)
    firsts = [f"Question {dice.randrange(12)}?" for _ in range(60)]
    examples = tuple(
        TextExample(str(n), dice.choice([first, first.upper(), f" {first}"]), f"answer {n}",
                    dice.choice("aaaabbbc"))
        for n, first in enumerate(firsts)
    )  # fmt: skip
    train, dev = divide(examples, 0.2, CLASSES)
    sides = [{e.text.strip().upper() for e in side} for side in (train, dev)]
    assert not sides[0] & sides[1]
    groups = {(e.text.strip().upper(), e.label) for e in examples}
    several = {label for label, held in Counter(label for _, label in groups).items() if held > 1}
    for side in (train, dev):
        assert several <= {e.label for e in side}
    assert 1 <= len(dev) <= 12 + max(Counter(e.text.strip().upper() for e in examples).values())
    assert shared(train, {"dev": dev}, CLASSES) == []


def test_questions_about_one_context_stay_together():
    examples = tuple(
        QuestionExample(str(n), f"what {n}?", f"context {n // 5}",
                        () if n % 5 == 0 else (Answer("context", 0),))
        for n in range(100)
    )  # fmt: skip
    train, dev = divide(examples, 0.1, ANSWERS)
    assert len(dev) == 10 and not {e.context for e in train} & {e.context for e in dev}
    assert absent({"train": train, "dev": dev}, ANSWERS) == []
    other = examples[:3]
    assert shared(train, {"dev": other, "test": dev}, ANSWERS) == [
        "dev: 3 of 3 have a context that training examples have too"
    ]


def test_a_rare_type_of_entity_is_on_both_sides():
    rare, often = ("B-rare", "O"), ("B-often", "I-often")
    tags = [rare if n in (7, 31) else often if n % 2 else ("O", "O") for n in range(50)]
    examples = tuple(TaggedExample(str(n), (f"w{n}", "x"), of) for n, of in enumerate(tags))
    train, dev = divide(examples, 0.1, TAGS)
    assert len(dev) == 5
    for side in (train, dev):
        assert {kind for e in side for kind in TAGS.classes_of(e)} == {"often", "rare"}
        assert any(set(e.tags) == {"O"} for e in side)
    assert len(draw(examples, 6, TAGS)) == 6


def test_one_group_is_divided_and_large_groups_are_not_preferred():
    examples = tuple(TextExample(str(n), "the same", f"{n}", "ab"[n % 2]) for n in range(40))
    train, dev = divide(examples, 0.1, CLASSES)
    assert len(dev) == 4
    assert shared(train, {"dev": dev}, CLASSES) == [
        "dev: 4 of 4 have a text that training examples have too"
    ]
    examples = tuple(
        TextExample(str(n), f"text {max(n - 30, 0)}", f"{n}", "ab"[n % 2]) for n in range(60)
    )
    assert len(divide(examples, 0.1, CLASSES)[1]) == 6
    # Copies are divided where only they have a class; related texts stay together.
    copies = tuple(TextExample(str(n), "ab"[n % 2], None, "ab"[n % 2]) for n in range(40))
    train, dev = divide(copies, 0.1, CLASSES)
    assert [Counter(e.label for e in side) for side in (dev, train)] == [
        {"a": 2, "b": 2},
        {"a": 18, "b": 18},
    ]
    rare = (TextExample("0", "rare", "1", "c"), TextExample("1", "rare", "2", "c"), *examples)
    assert "c" not in {e.label for e in divide(rare, 0.1, CLASSES)[1]}
    unlike = tuple(TextExample(str(n), "ab"[n % 2], str(n), "ab"[n % 2]) for n in range(40))
    assert Counter(e.label for e in divide(unlike, 0.1, CLASSES)[1]) == {"a": 2, "b": 2}
    halves = tuple(TextExample(str(n), "ab"[n % 2], f"{n}", "yes") for n in range(20))
    assert len(divide(halves, 0.1, CLASSES)[1]) == 10


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("kind", [VALUES, CLASSES])
def test_neither_part_of_a_division_is_empty(share, kind):
    for number in range(2, 12):
        examples = tuple(TextExample(str(n), "") for n in range(number))
        train, dev = divide(examples, share, kind)
        assert train and len(dev) == max(1, round(share * number))
        assert {*train, *dev} == {*examples} and len(train) + len(dev) == number


def test_one_example_cannot_be_divided():
    with pytest.raises(InputError, match="one training example cannot be divided"):
        divide(texts("a"), 0.1, CLASSES)
    train, dev = divide(texts("a", "b"), 0.1, CLASSES)
    assert len(train) == len(dev) == 1
