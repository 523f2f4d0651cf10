from collections import Counter
from math import log

import numpy as np
import pytest

from tasks.linking.candidates import SCORED_TOGETHER, SparseIndex, highest

NAMES = ["copper fever", "fever copper", "glass bone syndrome", "weaver palsy", "palsy"]


def grams(text):
    """Characters, and pairs of them."""
    return Counter([*text, *(text[n : n + 2] for n in range(len(text) - 1))])


def brute_force(names, mention):
    """Cosines of TF-IDF vectors, with 1 + log((1 + n) / (1 + df)), by their definition."""
    counts = [grams(name) for name in names]
    known = sorted(set().union(*counts))
    idf = {g: 1 + log((1 + len(names)) / (1 + sum(g in c for c in counts))) for g in known}

    def vector(count):
        values = np.array([count[gram] * idf[gram] for gram in known])
        return values / np.linalg.norm(values)

    return np.array([vector(grams(mention)) @ vector(count) for count in counts])


@pytest.mark.parametrize("mention", ["copper fevers", "palsies of weavers", "glass"])
def test_scores_are_the_cosines_of_tf_idf(mention):
    (found,) = SparseIndex(NAMES).search([mention], [None], len(NAMES))
    expected = brute_force(NAMES, mention)
    np.testing.assert_allclose(found.scores, np.sort(expected)[::-1], atol=1e-6)
    np.testing.assert_array_equal(found.places, np.argsort(-expected, kind="stable"))


def test_many_mentions_are_scored_each_by_itself():
    index, mentions = SparseIndex(NAMES), [*NAMES, "", "fever"] * 20
    together = index.search(mentions, [None] * len(mentions), 2)
    for mention, found in zip(mentions, together, strict=True):
        (alone,) = index.search([mention], [None], 2)
        np.testing.assert_array_equal(found.places, alone.places)
        assert len(found.places) == (2 if mention else 0)
    assert [found.places[0] for found in together[:5]] == [0, 1, 2, 3, 4]


def test_only_the_allowed_names_are_candidates():
    found = SparseIndex(NAMES).search(
        ["palsy"] * 3, [np.array([4, 0]), None, np.array([], np.int64)], 2
    )
    assert [each.places.tolist() for each in found] == [[4, 0], [4, 3], []]
    allowed = [np.array([number % 5]) for number in range(SCORED_TOGETHER + 10)]
    found = SparseIndex(NAMES).search(["palsy"] * len(allowed), allowed, 2)
    assert [each.places.tolist() for each in found] == [each.tolist() for each in allowed]


def test_equal_scores_are_in_the_order_of_their_places():
    scores = np.array([1, 3, 2, 3, 2, 2, 0], np.float32)
    assert highest(scores, 3).places.tolist() == [1, 3, 2]
    assert highest(scores, 5).places.tolist() == [1, 3, 2, 4, 5]
    assert highest(scores, 3, np.array([6, 5, 4, 3])).places.tolist() == [3, 4, 5]
    assert highest(scores, 9).places.tolist() == [1, 3, 2, 4, 5, 0, 6]
    np.testing.assert_array_equal(highest(scores, 2).scores, [3, 3])
