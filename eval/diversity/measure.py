"""Measures of texts of one length: how diverse they are."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from eval.diversity.ngrams import distinct, self_bleu
from tasks.score import half_widths

COMPARED = 500
"""Texts, the first ones, of which self-BLEU is made, at most."""
MEASURES = {
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "distinct_3": "distinct-3",
    "self_bleu": "self-BLEU",
}


class TextScores(NamedTuple):
    """Measures by their names in `MEASURES`."""

    metrics: dict[str, float]
    intervals: dict[str, float]
    """Half the width of the 95 % interval of those that are means over texts, if the texts are
    independent of each other. Distinct-n is no mean, and changes with the number of texts."""


def measure_texts(texts: Int32[np.ndarray, "samples length"]) -> TextScores:
    """The measures of texts of one source, without special tokens.

    Raises:
        InputError: sacrebleu is not installed.
    """
    tokens = texts.tolist()
    metrics = {f"distinct_{n}": distinct(tokens, n) for n in (1, 2, 3)}
    bleus = np.array(self_bleu(tokens[:COMPARED]))

    def mean_bleu(chosen: Sequence[int]) -> Mapping[str, float]:
        return {"self_bleu": float(bleus[list(chosen)].mean())}

    count = len(bleus)
    return TextScores({**metrics, **mean_bleu(range(count))}, half_widths(mean_bleu, count))
