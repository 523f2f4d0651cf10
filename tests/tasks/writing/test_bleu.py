"""BLEU of a corpus against the formula of the paper by hand, and its settings."""

import math
from collections import Counter

import pytest

from tasks.writing.bleu import bleu, sentence_bleu, signature

REFERENCES = [
    ["the old cat sees a red bird in the tree"],
    ["a small dog and the bird hear the cat", "the small dog hears the cat and the bird"],
]
TEXTS = ["the old cat sees the bird in a tree", "the small dog hears the cat and a bird"]


def by_hand(references, texts):
    """Papineni et al. 2002, equations 1 to 3, with the closest reference's length."""
    hits, totals, written, wanted = [0] * 4, [0] * 4, 0, 0
    for several, text in zip(references, texts, strict=True):
        words = text.split()
        written += len(words)
        wanted += min((abs(len(r.split()) - len(words)), len(r.split())) for r in several)[1]
        for n in range(4):

            def grams(words, n=n):
                return Counter(tuple(words[i : i + n + 1]) for i in range(len(words) - n))

            most = Counter()
            for reference in several:
                most |= grams(reference.split())
            hits[n] += sum((grams(words) & most).values())
            totals[n] += sum(grams(words).values())
    mean = sum(math.log(hit / total) for hit, total in zip(hits, totals, strict=True)) / 4
    return math.exp(min(0.0, 1 - wanted / written) + mean)


def test_the_formula():
    assert bleu(REFERENCES, TEXTS, lowercase=False) == pytest.approx(
        by_hand(REFERENCES, TEXTS), abs=1e-12
    )


def test_capitals_count_unless_the_vocabulary_has_none():
    capitals = [text.upper() for text in TEXTS]
    assert bleu(REFERENCES, capitals, lowercase=False) == 0
    lower = bleu(REFERENCES, TEXTS, lowercase=True)
    assert bleu(REFERENCES, capitals, lowercase=True) == lower


def test_a_short_sentence_can_be_perfect():
    assert sentence_bleu(["a cat"], "a cat", lowercase=False) == pytest.approx(1)


def test_the_signature_says_what_is_compared():
    assert signature(True, 1).startswith("nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:")
    assert "nrefs:3|case:mixed" in signature(False, 3)
