"""Sentences chosen for a summary: by a model's probabilities, or by what the references say."""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float

_WORD = re.compile(r"\w+")
Chosen = tuple[int, ...]
"""Of sentences in their document, rising."""


def likeliest(
    sentences: Sequence[str], probabilities: Float[np.ndarray, " sentences"], count: int
) -> Chosen:
    """The `count` likeliest sentences, but none that repeats three words of a likelier one.

    Trigram blocking, as in BertSum (Liu and Lapata 2019, section 3.1; Paulus et al. 2018). So there
    may be fewer. Among equals the first is likelier.
    """
    chosen: list[int] = []
    seen: set[tuple[str, ...]] = set()
    for place in map(int, np.argsort(-probabilities, kind="stable")):
        words = _words(sentences[place])
        trigrams = {*zip(words, words[1:], words[2:], strict=False)}
        if len(chosen) < count and not trigrams & seen:
            chosen.append(place)
            seen |= trigrams
    return tuple(sorted(chosen))


@lru_cache(maxsize=2**16)  # for labels, and again for the baseline
def oracle(sentences: tuple[str, ...], references: tuple[str, ...], most: int) -> Chosen:
    """The sentences that a summary of at most `most` should be made of, found greedily.

    One by one the sentence is taken with which the sum of the F1 of single words and of pairs of
    words is highest, until none raises it (Nallapati et al. 2017, section 3; Liu and Lapata 2019,
    section 4.2). With several references the sum is that of the closest. At least one is taken.
    """
    goals = [_grams(reference) for reference in references]
    grams = [_grams(sentence) for sentence in sentences]
    chosen: list[int] = []
    sums, best = (Counter(), Counter()), -1.0
    while len(chosen) < most:
        scores = {
            place: max(sum(map(_f1, goal, _added(sums, grams[place]))) for goal in goals)
            for place in range(len(sentences))
            if place not in chosen
        }
        place = max(scores, key=lambda place: scores[place], default=-1)
        if place < 0 or scores[place] <= best:
            break
        chosen.append(place)
        sums, best = _added(sums, grams[place]), scores[place]
    return tuple(sorted(chosen))


_Grams = tuple[Counter, Counter]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _grams(text: str) -> _Grams:
    words = _words(text)
    return Counter(words), Counter(pairwise(words))


def _added(one: _Grams, other: _Grams) -> _Grams:
    return one[0] + other[0], one[1] + other[1]


def _f1(gold: Counter, found: Counter) -> float:
    both = sum((gold & found).values())
    return 2 * both / (gold.total() + found.total()) if both else 0.0
