"""Diversity of texts by their n-grams: how many differ, and how many a text shares with others.

High diversity is not quality: tokens drawn at random have the most different n-grams and share the
fewest, so a measure of quality belongs beside these.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data.extras import library

ORDERS = 4
"""BLEU-4: n-grams of 1 to 4 tokens."""

TokenLists = Sequence[Sequence[int]]
"""The tokens of each text."""


def distinct(texts: TokenLists, n: int) -> float:
    """Distinct-n: different n-grams over all n-grams of all texts.

    Li et al. 2016 divide by the number of tokens, which is nearly the same. It falls as texts
    become more or longer: compare equal numbers of equal lengths.
    """
    found = [gram for text in texts for gram in _ngrams(text, n)]
    return len({*found}) / len(found)


def self_bleu(texts: TokenLists) -> list[float]:
    """Self-BLEU (Zhu et al. 2018): BLEU-4 of each text, all others being references.

    The scores are those of sacrebleu's `sentence_bleu`: from 0 to 100, smoothed exponentially, with
    the orders that a short text has. Counting all n-grams once takes a second where comparing every
    pair of texts would take minutes.

    Args:
        texts: at least two.

    Raises:
        InputError: sacrebleu is not installed.
    """
    score = _formula()
    counts = [
        Counter(gram for n in range(1, ORDERS + 1) for gram in _ngrams(text, n)) for text in texts
    ]
    # Of each n-gram the text that has it most often, how often, and how often the next one has it.
    most: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for number, own in enumerate(counts):
        for gram, count in own.items():
            owner, first, second = most.get(gram, (number, 0, 0))
            if count > first:
                most[gram] = (number, count, first)
            else:
                most[gram] = (owner, first, max(second, count))
    lengths = Counter(map(len, texts))
    scores = []
    for number, (text, own) in enumerate(zip(texts, counts, strict=True)):
        correct, total = [0] * ORDERS, [0] * ORDERS
        for gram, count in own.items():
            owner, first, second = most[gram]
            correct[len(gram) - 1] += min(count, second if owner == number else first)
            total[len(gram) - 1] += count
        reference = _closest(len(text), lengths)
        found = score(
            correct, total, len(text), reference, smooth_method="exp", effective_order=True
        )
        scores.append(found.score)
    return scores


def check_self_bleu() -> None:
    """Raises InputError if sacrebleu is not installed."""
    _formula()


def _formula() -> Callable[..., Any]:
    """BLEU from counts of n-grams."""
    return library("sacrebleu.metrics.bleu", "text", "self-BLEU").BLEU.compute_bleu


def _ngrams(text: Sequence[int], n: int) -> Iterator[tuple[int, ...]]:
    return zip(*(text[start:] for start in range(n)), strict=False)


def _closest(length: int, lengths: Counter[int]) -> int:
    """The length of another text that is closest to that of one of them; of two the shorter."""
    others = [each for each in lengths if each != length or lengths[each] > 1]
    return min(others, key=lambda each: (abs(each - length), each))
