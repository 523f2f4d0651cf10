"""ROUGE by hand, the choice of a reference, and a library that is missing."""

import sys

import pytest

from model.errors import InputError
from tasks.extractive import rouge as module
from tasks.extractive.rouge import ROUGE_METRICS, check_rouge, rouge


def test_rouge_by_hand():
    scores = rouge(("the cats see a dog",), "a cat sees the dog")  # stems are equal
    assert scores["rouge1"] == 1.0
    assert scores["rouge2"] == pytest.approx(1 / 4)  # cat see
    assert scores["rougeL"] == pytest.approx(3 / 5)  # cat see dog


def test_lsum_compares_sentence_by_sentence():
    scores = rouge(("One two. Three four.",), "Three four. One two.")
    assert scores["rougeL"] == pytest.approx(1 / 2) and scores["rougeLsum"] == 1.0


def test_the_reference_of_best_rouge_1_counts_for_all_measures():
    """With the best of each measure ROUGE-2 would be that of the other reference."""
    first, second = "d c b a", "a b x y"
    scores = rouge((second, first), "a b c d")
    assert scores["rouge1"] == 1.0 and scores["rouge2"] == 0.0
    assert rouge((second,), "a b c d")["rouge2"] > 0


def test_a_metric_is_the_mean_over_documents():
    gold, predicted = [["a b"], ["c d", "e"]], ["a b", "e f"]
    assert ROUGE_METRICS["rouge1"](gold, predicted) == pytest.approx((1 + 2 / 3) / 2)


def test_a_missing_library_is_one_sentence(monkeypatch):
    module._scorer.cache_clear()
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(InputError, match=r"scoring summaries needs rouge_score.*-e '\.\[text\]'"):
        check_rouge()
    module._scorer.cache_clear()
