"""Measures of texts against loops."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from data.vocabulary import SpecialIds
from eval.diversity import measure as module
from eval.diversity.measure import measure_texts, surprisals
from eval.diversity.ngrams import distinct, self_bleu
from model.tasks import MaskedLM
from tests.small import DISTILBERT, build, call

SPECIAL = SpecialIds(0, 1, 2, 3, 4)
TEXTS = np.random.default_rng(0).integers(5, 12, (14, 6), dtype=np.int32)


@cache
def teacher() -> Any:
    return build(MaskedLM, DISTILBERT)


def surprisal(text: np.ndarray) -> float:
    total = 0.0
    for place, token in enumerate(text):
        ids = np.array([[SPECIAL.cls, *text, SPECIAL.sep]], np.int32)
        ids[0, 1 + place] = SPECIAL.mask
        logits = np.asarray(call(teacher(), ids).logits[0, 1 + place], np.float64)
        total -= logits[token] - np.log(np.exp(logits).sum())
    return total / len(text)


@pytest.mark.parametrize("rows", [4, 100])
def test_surprisals_are_those_of_a_loop(rows: int) -> None:
    found = surprisals(teacher(), TEXTS, SPECIAL, rows=rows)
    np.testing.assert_allclose(found, [surprisal(text) for text in TEXTS], rtol=1e-5)


def test_measures_are_of_all_texts_or_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPARED", 12)
    nats = np.random.default_rng(1).normal(3, 1, 12)
    found, tokens = measure_texts(TEXTS, nats), TEXTS.tolist()
    bleus = self_bleu(tokens[:12])
    assert found.metrics == pytest.approx(
        {
            "distinct_1": distinct(tokens, 1),
            "distinct_2": distinct(tokens, 2),
            "distinct_3": distinct(tokens, 3),
            "self_bleu": np.mean(bleus),
            "pseudo_perplexity": np.exp(nats.mean()),
        }
    )
    t = 2.2009852  # of 11 degrees of freedom
    assert found.intervals["self_bleu"] == pytest.approx(t * np.std(bleus, ddof=1) / 12**0.5)
    assert {*measure_texts(TEXTS, None).metrics} == {*found.metrics} - {"pseudo_perplexity"}
