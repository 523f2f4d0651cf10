"""Exact match and F1 of answers, from 0 to 1: the rules of SQuAD's and MLQA's evaluation scripts.

Where every question has an answer the rules are those of `evaluate-v1.1.py`, otherwise those of
`evaluate-v2.0.py`. They differ in answers of punctuation and articles alone, such as "." (three
questions of the development set of 1.1): version 2.0 leaves these out.

For answers in a given language the rules are those of `mlqa_evaluation_v1.py` (Lewis et al. 2020;
facebookresearch/MLQA, commit 5ef5c73). Punctuation is what Unicode and ASCII call so, the articles
are those of the language, and each Chinese character is a word. In Arabic the article is taken out
wherever its letters stand, also inside words. Hindi and Chinese have no articles.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from statistics import fmean

Golds = Sequence[Sequence[str]]
"""The answers that annotators gave to each question; none where there is none."""
_REPLACED = {
    "ar": ("ال", " "),
    "de": (r"\b(der|die|das|den|dem|des|ein|eine|einen|einem|einer|eines)\b", " "),
    "en": (r"\b(a|an|the)\b", " "),
    "es": (r"\b(el|la|los|las|un|una|unos|unas)\b", " "),
    "vi": (r"\b(của|là|cái|chiếc|những)\b", " "),
    "zh": ("[\u4e00-\u9fa5]", r" \g<0> "),
}
"""Articles, or the characters that are words, and what stands in their place, by language."""


def exact_match(gold: Golds, predicted: Sequence[str], language: str | None = None) -> float:
    """The share of predictions among the answers, but for capitals, punctuation and articles."""
    return fmean(exact for exact, _ in _scores(gold, predicted, language))


def squad_f1(gold: Golds, predicted: Sequence[str], language: str | None = None) -> float:
    """The mean F1 of a prediction's words and those of the answer that it is closest to."""
    return fmean(f1 for _, f1 in _scores(gold, predicted, language))


def squad_breakdown(
    gold: Golds, predicted: Sequence[str], language: str | None = None
) -> dict[str, float]:
    """Both metrics where there is an answer, and the share of empty ones where there is none.

    Empty unless there are questions of both kinds.
    """
    answered, rest = [], []
    for score, answers in zip(_scores(gold, predicted, language), gold, strict=True):
        (answered if answers else rest).append(score)
    if not answered or not rest:
        return {}
    return {
        "has_answer_exact_match": fmean(exact for exact, _ in answered),
        "has_answer_squad_f1": fmean(f1 for _, f1 in answered),
        "no_answer_exact_match": fmean(exact for exact, _ in rest),
    }


@lru_cache(maxsize=2**17)  # the answers of a split, which is scored in many parts
def normalize_answer(text: str, language: str | None = None) -> str:
    """In lower case, without punctuation, articles and superfluous white space."""
    language, ascii_only = language or "en", language is None
    without = "".join(c for c in text.lower() if not _is_punctuation(c, ascii_only))
    if language in _REPLACED:
        without = re.sub(*_REPLACED[language], without)
    return " ".join(without.split())


def _is_punctuation(character: str, ascii_only: bool) -> bool:
    in_unicode = not ascii_only and unicodedata.category(character).startswith("P")
    return in_unicode or character in string.punctuation


def _scores(
    gold: Golds, predicted: Sequence[str], language: str | None
) -> list[tuple[float, float]]:
    """Exact match and F1 of each question."""
    version_2 = not all(gold)
    scores = []
    for answers, prediction in zip(gold, predicted, strict=True):
        normal = normalize_answer(prediction, language)
        golds = [normalize_answer(answer, language) for answer in answers]
        if version_2:
            golds = [answer for answer in golds if answer]
        if golds:
            scores.append((float(normal in golds), max(_f1(answer, normal) for answer in golds)))
        else:
            scores.append((float(not normal),) * 2)
    return scores


@lru_cache(maxsize=2**17)
def _f1(gold: str, predicted: str) -> float:
    gold_words, words = gold.split(), predicted.split()
    same = sum((Counter(gold_words) & Counter(words)).values())
    return 2 * same / (len(gold_words) + len(words)) if same else 0.0
