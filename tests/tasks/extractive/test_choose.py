"""Chosen sentences: trigram blocking, and the greedy oracle against rouge-score."""

import itertools

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from tasks.extractive.choose import likeliest, oracle
from tests import runs

SENTENCES = ("the old cat sees a tree", "a dog", "small: the old cat likes it", "the bird")


def test_the_likeliest_sentences_in_the_documents_order():
    chances = np.array([0.2, 0.9, 0.1, 0.9])
    assert likeliest(SENTENCES, chances, 1) == (1,)
    assert likeliest(SENTENCES, chances, 3) == (0, 1, 3)
    assert likeliest(SENTENCES[:1], chances[:1], 3) == (0,)


def test_a_sentence_that_repeats_three_words_is_passed_over():
    assert likeliest(SENTENCES, np.array([0.9, 0.2, 0.8, 0.3]), 2) == (0, 3)
    assert likeliest(SENTENCES, np.array([0.9, 0.2, 0.8, 0.3]), 4) == (0, 1, 3)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_oracle_takes_what_raises_rouge_most(most):
    """Greedily, with scores of the library: a separator word keeps it from pairs across borders."""
    rng = np.random.default_rng(most)
    scorer = RougeScorer(["rouge1", "rouge2"])

    def closeness(places, sentences, references):
        text = " ".join(sentences[place] for place in places)
        scores = [scorer.score(reference, text) for reference in references]
        return max(s["rouge1"].fmeasure + s["rouge2"].fmeasure for s in scores)

    for _ in range(20):
        sentences, references = (
            tuple(" ".join(rng.choice(runs.WORDS, size=5)) for _ in range(count))
            for count in (5, 2)
        )
        first = max(range(5), key=lambda place: closeness([place], sentences, references))
        assert oracle(sentences, references, 1) == (first,)
        found = oracle(sentences, references, most)
        assert first in found and 1 <= len(found) <= most
        # Pairs of words across the border of two sentences are the library's alone.
        assert all(0 <= place < 5 for place in found) and list(found) == sorted({*found})


def test_the_oracle_stops_where_nothing_helps():
    assert oracle(("a cat", "a dog", "the cat"), ("a cat",), 3) == (0,)
    assert oracle(("red", "green"), ("a cat",), 2) == (0,)  # at least one
    assert oracle(("a b c", "d e f", "g h i"), ("d e f g h i",), 3) == (1, 2)


def test_the_oracle_is_greedy():
    """The best pair is (0, 1), and the best single sentence is 2."""
    sentences = ("a b", "c d", "b c a")
    best = max(
        itertools.combinations(range(3), 2),
        key=lambda pair: " ".join(sentences[p] for p in pair) == "a b c d",
    )
    assert best == (0, 1)
    assert oracle(sentences, ("a b c d",), 1) == (2,)
    assert 2 in oracle(sentences, ("a b c d",), 2)
