"""Runs of words, and paragraphs that repeat them."""

import random

from data.corpora.overlap import CopyFilter, ngrams


def sentence(words: int, seed: int) -> str:
    return " ".join(f"w{random.Random(seed).randrange(10**6)}x{n}" for n in range(words))


def test_ngrams_are_all_runs_of_words_without_case_and_marks():
    assert list(ngrams("The cat, the DOG; sat", 3)) == [
        ("the", "cat", "the"),
        ("cat", "the", "dog"),
        ("the", "dog", "sat"),
    ]
    assert list(ngrams("Too short", 3)) == [("too", "short")]


def test_a_paragraph_is_a_copy_when_more_than_half_of_it_occurred_before():
    copies, first = CopyFilter(), sentence(40, 1)
    assert copies.is_new(first)
    assert not copies.is_new(first.upper() + "!")
    assert not copies.is_new(f"{first} {sentence(10, 2)}")
    assert copies.is_new(f"{' '.join(first.split()[:22])} {sentence(20, 3)}")
    assert copies.is_new("a short one") and not copies.is_new("A short one.")
