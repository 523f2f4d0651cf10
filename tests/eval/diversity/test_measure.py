"""Measures of texts against loops."""

import numpy as np
import pytest

from eval.diversity import measure as module
from eval.diversity.measure import measure_texts
from eval.diversity.ngrams import distinct, self_bleu

TEXTS = np.random.default_rng(0).integers(5, 12, (14, 6), dtype=np.int32)


def test_measures_are_of_all_texts_or_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPARED", 12)
    found, tokens = measure_texts(TEXTS), TEXTS.tolist()
    bleus = self_bleu(tokens[:12])
    assert found.metrics == pytest.approx(
        {
            "distinct_1": distinct(tokens, 1),
            "distinct_2": distinct(tokens, 2),
            "distinct_3": distinct(tokens, 3),
            "self_bleu": np.mean(bleus),
        }
    )
    t = 2.2009852  # of 11 degrees of freedom
    assert found.intervals["self_bleu"] == pytest.approx(t * np.std(bleus, ddof=1) / 12**0.5)
