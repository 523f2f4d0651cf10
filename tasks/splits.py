"""Division of examples into those for training and those kept for development."""

import numpy as np

from model.errors import InputError
from tasks.formats.rows import Example

Examples = tuple[Example, ...]


def divide(examples: Examples, share: float) -> tuple[Examples, Examples]:
    """All but a share of the examples, and the share: always the same ones, in their order.

    Raises:
        InputError: there are fewer than two.
    """
    if len(examples) < 2:
        raise InputError("one training example cannot be divided into training and development")
    chosen = set(draw(max(1, round(share * len(examples))), len(examples)))
    rest = tuple(e for number, e in enumerate(examples) if number not in chosen)
    return rest, tuple(examples[number] for number in sorted(chosen))


def draw(number: int, total: int) -> list[int]:
    """`number` of the first `total` numbers, in order: drawn at random with seed 0."""
    return sorted(np.random.default_rng(0).permutation(total)[:number].tolist())
