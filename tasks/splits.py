"""Which examples are for training, which are kept for development, and which classes there are."""

from collections.abc import Sequence

import numpy as np

from model.errors import InputError
from tasks.examples import Example, TaggedExample, TextExample

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
    """So many of the first `total` numbers, in order: drawn at random with seed 0."""
    return sorted(np.random.default_rng(0).permutation(total)[:number].tolist())


def learnable_classes(examples: Sequence[Example]) -> tuple[str, ...]:
    """`classes_of` training examples.

    Raises:
        InputError: all examples have the same class.
    """
    classes = classes_of(examples)
    if len(classes) == 1:
        raise InputError(f"all examples have the label {classes[0]!r}: there is nothing to learn")
    return classes


def classes_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """The classes of texts, sorted; of tagged words, all tags that their types may have in IOB2."""
    if examples and isinstance(examples[0], TaggedExample):
        tags = (tag for e in examples if isinstance(e, TaggedExample) for tag in e.tags or ())
        types = sorted({tag[2:] for tag in tags if tag != "O"})
        return ("O", *(f"{mark}-{name}" for name in types for mark in "BI"))
    texts = [e for e in examples if isinstance(e, TextExample) and e.label is not None]
    return tuple(sorted({str(text.label) for text in texts}))
