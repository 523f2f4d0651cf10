"""Copies and leaks, against brute force."""

import random

from data.corpora.overlap import CopyFilter, leaked_share, ngrams


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


def test_the_leaked_share_is_that_of_brute_force():
    draw = random.Random(0)
    vocabulary = ["a", "b"]  # few words, so that runs of 13 repeat
    heldout = [" ".join(draw.choices(vocabulary, k=60)) for _ in range(9)] + ["a b"]
    training = [" ".join(draw.choices(vocabulary, k=60)) for _ in range(40)]

    def runs(texts: list[str]) -> list[str]:
        return [
            " ".join(words[start : start + 13])
            for words in map(str.split, texts)
            for start in range(len(words) - 12)
        ]

    expected = sum(run in set(runs(training)) for run in runs(heldout)) / len(runs(heldout))
    assert 0.1 < expected < 0.9
    assert leaked_share(heldout, training) == expected
    assert leaked_share(heldout, heldout) == 1
    assert leaked_share(["a b"], training) == 0
