"""Distinct-n and self-BLEU against a count by hand, sacrebleu on strings, and nltk."""

import sys
from collections import Counter
from importlib import import_module

import numpy as np
import pytest

from data.extras import library
from eval.diversity.ngrams import distinct, self_bleu
from tests.checkpoints import fails

RANDOM = np.random.default_rng(0)
TEXTS = [
    RANDOM.zipf(1.4, size).clip(max=30).tolist() for size in (12, 12, 9, 15, 12, 2, 3, 15, 30, 1)
]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_distinct_is_different_over_all(n: int) -> None:
    counts: Counter[str] = Counter()
    for text in TEXTS:
        for start in range(len(text) - n + 1):
            counts[" ".join(map(str, text[start : start + n]))] += 1
    assert distinct(TEXTS, n) == len(counts) / sum(counts.values())


def test_distinct_by_hand() -> None:
    assert distinct([[1, 2, 1], [2, 1, 3]], 1) == 3 / 6
    assert distinct([[1, 2, 1], [2, 1, 3]], 2) == 3 / 4
    assert distinct([[7, 7, 7, 7]], 3) == 1 / 2


def test_self_bleu_is_sacrebleu_of_each_text_against_all_others() -> None:
    bleu = library("sacrebleu", "text", "this test").sentence_bleu
    strings = [" ".join(map(str, text)) for text in TEXTS]
    expected = [
        bleu(string, strings[:n] + strings[n + 1 :], tokenize="none").score
        for n, string in enumerate(strings)
    ]
    assert len({*expected}) > 5
    assert self_bleu(TEXTS) == pytest.approx(expected, abs=1e-9)


def test_self_bleu_is_that_of_nltk() -> None:
    """Without smoothing, which nltk has in other forms: where all orders are found."""
    bleu = import_module("nltk.translate.bleu_score").sentence_bleu
    texts = RANDOM.integers(0, 2, (8, 20)).tolist()
    expected = [bleu(texts[:n] + texts[n + 1 :], text) for n, text in enumerate(texts)]
    assert min(expected) > 0.1
    np.testing.assert_allclose(self_bleu(texts), 100 * np.array(expected), atol=1e-9)


def test_equal_texts_and_random_tokens_are_the_ends() -> None:
    equal = [RANDOM.integers(0, 1000, 16).tolist()] * 20
    chance = RANDOM.integers(0, 1000, (20, 16)).tolist()
    assert self_bleu(equal) == pytest.approx([100.0] * 20)
    assert np.mean(self_bleu(chance)) < 5
    assert distinct(equal, 2) == 15 / (20 * 15) and distinct(chance, 2) > 0.98
    words = [[3, 4, 5, 6] * 4, [6, 3, 4, 5] * 4]
    assert all(distinct(chance, n) > distinct(words, n) for n in (1, 2, 3))


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with fails("self-BLEU needs sacrebleu, which is not installed", "-e '.[text]'"):
        self_bleu(TEXTS)
