"""Measures of texts of one length: how diverse they are and, by a teacher, how likely."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32

from data.vocabulary import SpecialIds
from eval.diversity.ngrams import distinct, self_bleu
from eval.likelihood.score import pseudo_log_likelihood
from eval.likelihood.texts import ReadingWindow
from model.tasks import MaskedLM
from tasks.score import half_widths

COMPARED = 500
"""Texts, the first ones, of which self-BLEU and pseudo-perplexity are made, at most."""
MEASURES = {
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "distinct_3": "distinct-3",
    "self_bleu": "self-BLEU",
    "pseudo_perplexity": "pseudo-perplexity",
}


class TextScores(NamedTuple):
    """Measures by their names in `MEASURES`."""

    metrics: dict[str, float]
    intervals: dict[str, float]
    """Half the width of the 95 % interval of those that are means over texts, if the texts are
    independent of each other. Distinct-n is no mean, and changes with the number of texts."""


def measure_texts(
    texts: Int32[np.ndarray, "samples length"], nats: Float64[np.ndarray, " compared"] | None
) -> TextScores:
    """The measures of texts of one source.

    Args:
        texts: without special tokens.
        nats: of the first ones, from `surprisals`, if there is a teacher.

    Raises:
        InputError: sacrebleu is not installed.
    """
    tokens = texts.tolist()
    metrics = {f"distinct_{n}": distinct(tokens, n) for n in (1, 2, 3)}
    values = {"self_bleu": np.array(self_bleu(tokens[:COMPARED]))}
    if nats is not None:
        values["pseudo_perplexity"] = nats

    def means(chosen: Sequence[int]) -> Mapping[str, float]:
        found = {name: float(each[list(chosen)].mean()) for name, each in values.items()}
        if nats is not None:
            found["pseudo_perplexity"] = float(np.exp(found["pseudo_perplexity"]))
        return found

    count = min(len(texts), COMPARED)
    return TextScores({**metrics, **means(range(count))}, half_widths(means, count))


def surprisals(
    teacher: MaskedLM,
    texts: Int32[np.ndarray, "samples length"],
    special: SpecialIds,
    *,
    rows: int,
) -> Float64[np.ndarray, " samples"]:
    """Nats a token of each text under a teacher, which guesses every token from all others.

    exp of their mean is the pseudo-perplexity (Salazar et al. 2020).
    """
    length = texts.shape[1]
    words = np.array([-1, *range(length), -1], np.int32)
    windows = [
        ReadingWindow(
            number, np.array([special.cls, *text, special.sep], np.int32), words, words >= 0
        )
        for number, text in enumerate(texts)
    ]
    total = pseudo_log_likelihood(teacher, windows, special, hidden="token", rows=rows)
    return -total / length
