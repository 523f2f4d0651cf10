import numpy as np
import pytest

from data.tokenizer import load_vocabulary
from eval.predict import predict
from eval.speed import PredictionSpeed, speed
from eval.timing.predictions import (
    BARE,
    LENGTH,
    OURS,
    TORCH,
    compiled_model,
    prediction_table,
    random_texts,
)
from eval.timing.settings import PREDICTION_SIZES
from model.tasks import SequenceClassification
from tests import tiny
from tests.small import build
from train.recipes.distill import TINY_TEACHER

SHAPE = tiny.STUDENT.replace(max_positions=LENGTH)


@pytest.fixture(scope="module")
def vocabulary():
    return load_vocabulary(TINY_TEACHER)


def test_texts_have_as_many_tokens_as_are_said(vocabulary):
    lengths = [len(vocabulary.tokenizer.encode(t).ids) for t in random_texts(vocabulary, 300)]
    assert (min(lengths), max(lengths)) == (5, LENGTH) and len({*lengths}) > 20


def test_both_compute_the_same(vocabulary):
    shape = SHAPE.replace(vocab_size=vocabulary.size)
    model = build(SequenceClassification, shape)
    texts = random_texts(vocabulary, 5)
    parts = [texts[:3], texts[3:]]
    logits = np.concatenate([a[: len(p)] for a, p in zip(
        compiled_model(model, vocabulary, parts, 3)(), parts, strict=True)])  # fmt: skip
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    for row, found in zip(shares, predict(model, vocabulary, texts), strict=True):
        assert [found["probabilities"][n] for n in model.config.labels] == pytest.approx(row, 1e-4)


@pytest.mark.long
def test_the_command_measures_and_prints(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(PREDICTION_SIZES, "tiny", SHAPE)
    result = speed(PredictionSpeed(size="tiny", texts=3, repeats=1, json=tmp_path / "out.json"))
    assert [row["together"] for row in result["calls"]] == [1, 32]
    assert all(min(row["milliseconds"].values()) > 0 for row in result["calls"])
    assert "compiled model" in capsys.readouterr().out and (tmp_path / "out.json").is_file()


def test_the_table_holds_the_ratios():
    times = {OURS: 3.0, BARE: 2.0, TORCH: 4.5}
    table = prediction_table([{"together": 1, "milliseconds": times}])
    cells = [str(next(iter(column.cells))) for column in table.columns]
    assert cells == ["1", "3", "2", "1.50", "4.5", "1.50"]


@pytest.mark.oracle
def test_the_pipeline_is_asked_alternately(monkeypatch):
    monkeypatch.setitem(PREDICTION_SIZES, "tiny", SHAPE)
    result = speed(PredictionSpeed(size="tiny", texts=2, repeats=1, against="torch"))
    assert [*result["calls"][0]["milliseconds"]] == [OURS, BARE, TORCH]
