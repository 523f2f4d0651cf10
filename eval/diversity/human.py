"""Stretches of human text, as long as the texts of a model that they stand beside."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from jaxtyping import Int32

from data.sequences import Sequences
from data.vocabulary import SpecialIds
from model.errors import InputError


def human_texts(
    sequences: Sequences, special: SpecialIds, *, samples: int, length: int, name: str
) -> Int32[np.ndarray, "samples length"]:
    """Stretches of `length` tokens without special ones, drawn from the sequences of a text.

    They do not overlap, and are always the same.

    Args:
        sequences: of `length + 2` tokens, [CLS] and [SEP] included.
        special: of their vocabulary.
        samples: how many.
        length: tokens of each.
        name: of the text, for the message.

    Raises:
        InputError: there are fewer.
    """

    def stretches() -> Iterator[np.ndarray]:
        for place in np.random.default_rng(0).permutation(len(sequences)):
            ids = sequences[int(place)][1:-1].astype(np.int32)
            if len(ids) == length and not np.isin(ids, special).any():
                yield ids

    found = list(islice(stretches(), samples))
    if len(found) < samples:
        raise InputError(
            f"{name} has {len(found):,} stretches of {length} known tokens, and --samples asks for "
            f"{samples:,} to stand beside the model's: give more text with --reference, or fewer "
            "samples"
        )
    return np.stack(found)
