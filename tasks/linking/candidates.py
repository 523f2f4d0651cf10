"""Candidates for a mention: the names of a dictionary that are spelled most like it.

Names and mentions are vectors of the TF-IDF of their single characters and pairs of characters, as
in the sparse part of BioSyn (Sung et al. 2020); a score is the cosine of two.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

Places = Int64[np.ndarray, " _names"]
"""Of names in a dictionary."""
TextVectors = Float32[np.ndarray, "_texts _width"]
SCORED_TOGETHER = 64
"""Mentions that are scored together: their scores for all names are in memory."""


class Candidates(NamedTuple):
    """Names that a mention may be, the likeliest first, and of equal ones that of lower place."""

    places: Int64[np.ndarray, " names"]
    scores: Float32[np.ndarray, " names"]


class SparseIndex:
    """The names of a dictionary, to look for those that are spelled like a mention."""

    def __init__(self, names: Sequence[str]) -> None:
        """Reads the names, which are as `tasks.linking.dictionary.plain_name` makes them."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # takes seconds to import

        single: Any = np.float32
        self._vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), dtype=single)
        self._vectors: Any = self._vectorizer.fit_transform(names).T.tocsr()

    def search(
        self,
        mentions: Sequence[str],
        among: Sequence[Places | None],
        most: int,
        *,
        weight: float = 1.0,
        vectors: tuple[TextVectors, TextVectors] | None = None,
    ) -> list[Candidates]:
        """The `most` likely names for each mention, which is as names are; none for an empty one.

        Args:
            mentions: any number.
            among: the places of the names that each mention may be; None: of all names.
            most: candidates of a mention.
            weight: that of the score here, where there is another, whose weight is 1.
            vectors: those of the mentions and of all names, whose product is the other score.
        """
        found = []
        for start in range(0, len(mentions), SCORED_TOGETHER):
            part = mentions[start : start + SCORED_TOGETHER]
            scores = (self._vectorizer.transform(part) @ self._vectors).toarray()
            if vectors is not None:
                product = vectors[0][start : start + SCORED_TOGETHER] @ vectors[1].T
                scores = (product + np.float32(weight) * scores) / (1 + weight)
            for row, mention, places in zip(scores, part, among[start:], strict=False):
                found.append(highest(row, most if mention else 0, places))
        return found


def highest(
    scores: Float32[np.ndarray, " _all"], most: int, among: Places | None = None
) -> Candidates:
    """The highest scores, of those at the places `among` if given; equal ones by their places."""
    places = np.arange(len(scores)) if among is None else np.unique(among)
    values = scores[places]
    if 0 < most < len(values):
        least = np.partition(values, -most)[-most]
        places = places[values >= least]
        values = scores[places]
    order = np.argsort(-values, kind="stable")[:most]
    return Candidates(places[order], values[order])
