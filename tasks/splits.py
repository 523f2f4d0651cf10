"""Division of examples into those for training and those kept for development.

Examples of one group, such as the questions about one text, stay together. What is drawn holds the
classes in proportion, and of each at least one.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from data.corpora.leaks import without_case
from model.errors import InputError
from tasks.formats.labels import first_names
from tasks.formats.rows import Example
from tasks.kind import Kind

Examples = tuple[Example, ...]


def divide(examples: Examples, share: float, kind: Kind) -> tuple[Examples, Examples]:
    """All but a share of the examples, and the share: always the same ones, in their order.

    A class that several groups have is on both sides, even if that needs more than the share; one
    that a single group has stays in the first part. Groups are divided only where whole ones would
    take a class away.

    Raises:
        InputError: there are fewer than two examples.
    """
    if len(examples) < 2:
        raise InputError("one training example cannot be divided into training and development")
    wanted = max(1, round(share * len(examples)))
    classes = [set(kind.classes_of(example)) for example in examples]
    alone = [[number] for number in range(len(examples))]
    chosen = (
        _choose(_groups(examples, classes, kind), classes, wanted)
        or _choose(alone, classes, wanted)
        or _choose(alone, [set() for _ in examples], wanted)
    )
    rest = tuple(e for number, e in enumerate(examples) if number not in chosen)
    return rest, tuple(examples[number] for number in sorted(chosen))


def draw(examples: Examples, number: int, kind: Kind) -> Examples:
    """So many of the examples: always the same ones, in their order."""
    classes = [set(kind.classes_of(example)) for example in examples]
    return tuple(examples[n] for n in sorted(_ranked(classes, [1] * len(examples))[:number]))


def absent(examples: Mapping[str, Examples], kind: Kind) -> list[str]:
    """Sentences on the classes that one split has and another has not."""
    classes = {s: {c for e in of for c in kind.classes_of(e)} for s, of in examples.items()}
    every = set().union(*classes.values())
    return [
        f"{split}: no example of {first_names(every - there)}"
        for split, there in classes.items()
        if every - there
    ]


def shared(train: Examples, others: Mapping[str, Examples], kind: Kind) -> list[str]:
    """Sentences on the examples of other splits that are of a group with training examples."""
    groups = {group_of(example, kind) for example in train}
    counts = {s: sum(group_of(e, kind) in groups for e in of) for s, of in others.items()}
    return [
        f"{split}: {count:,} of {len(others[split]):,} have a {kind.shares} that training examples "
        "have too"
        for split, count in counts.items()
        if count
    ]


def group_of(example: Example, kind: Kind) -> str:
    """The group of an example: its text, but for case and white space."""
    return without_case(kind.group(example))


def _groups(examples: Examples, classes: Sequence[set[str]], kind: Kind) -> list[list[int]]:
    """The examples by group. Copies of one text are not kept together if only they have a class."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        groups[group_of(example, kind)].append(number)
    held = Counter(chain(*(set().union(*(classes[n] for n in g)) for g in groups.values())))
    units = []
    for group in groups.values():
        copies = len({without_case(kind.quote(examples[n])) for n in group}) == 1
        if copies and any(held[name] == 1 for n in group for name in classes[n]):
            units += [[n] for n in group]
        else:
            units.append(group)
    return units


def _choose(units: list[list[int]], classes: Sequence[set[str]], wanted: int) -> set[int]:
    """About as many examples as wanted, in whole units, so that no class is used up."""
    names = [set().union(*(classes[n] for n in unit)) for unit in units]
    left, there = Counter(chain(*names)), set()
    chosen: set[int] = set()
    for unit in _ranked(names, [len(unit) for unit in units], wanted):
        size = len(chosen) + len(units[unit])
        useful = not chosen or size <= wanted or not names[unit] <= there
        if useful and size < len(classes) and all(left[name] > 1 for name in names[unit]):
            chosen.update(units[unit])
            there |= names[unit]
            left.subtract(names[unit])
    return chosen


def _ranked(
    classes: Sequence[set[str]], sizes: Sequence[int], wanted: int | None = None
) -> list[int]:
    """Units in an order of which every beginning holds the classes in proportion.

    A unit counts for the rarest of its classes. Its place is the share of that class's examples
    before it, so the first units of all classes come before any other (Adams's method of
    apportionment). Otherwise the order is random, with units of more than `wanted` examples late.
    """
    held = Counter(chain(*classes))
    order = np.random.default_rng(0).permutation(len(classes)).tolist()
    strata: dict[str, list[int]] = defaultdict(list)
    for unit in order:
        strata[min(classes[unit], key=lambda name: (held[name], name), default="")].append(unit)
    position = {unit: place for place, unit in enumerate(order)}
    ranked = []
    for members in strata.values():
        total, before = sum(sizes[unit] for unit in members), 0
        for unit in sorted(members, key=lambda unit: sizes[unit] > (wanted or sizes[unit])):
            ranked.append((before / total, position[unit], unit))
            before += sizes[unit]
    return [unit for _, _, unit in sorted(ranked)]
