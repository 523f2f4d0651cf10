"""Heads with several outputs against transformers: probabilities, values and losses."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from eval.predict import open_model, predict
from model.pretrained import load, save
from model.tasks import SequenceClassification
from tasks.buckets import BucketBatches
from tasks.kinds import KINDS
from tasks.reading import Reading
from tasks.texts.examples import TextExample
from tests import runs
from tests.small import build

random = np.random.default_rng(0)
TEXTS = [" ".join(random.choice(runs.WORDS, size=random.integers(1, 9))) for _ in range(50)]
LABELS = ("rude", "loud", "kind")


@pytest.fixture(params=["bert", "distilbert"])
def architecture(request):
    return request.param


@pytest.fixture(params=["multi_label_classification", "regression"])
def folder(request, architecture, tmp_path):
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, 90)
    config = runs.MODEL if architecture == "bert" else runs.MODEL.distilled(2)
    config = config.replace(vocab_size=vocabulary.size, max_positions=24, initializer_range=0.6)
    save(
        build(SequenceClassification, config.replace(labels=LABELS, problem_type=request.param)),
        tmp_path,
    )
    save_vocabulary(vocabulary, tmp_path)
    return tmp_path


@pytest.mark.oracle
def test_answers_on_fifty_texts(folder):
    from transformers import pipeline

    theirs: Any = pipeline("text-classification", str(folder), top_k=None, device="cpu")(TEXTS)
    given = 0
    for row, expected in zip(predict(*open_model(str(folder)), TEXTS), theirs, strict=True):
        scores = {each["label"]: each["score"] for each in expected}
        ours = row["probabilities"] if "probabilities" in row else row["values"]
        assert ours == pytest.approx(scores, rel=0, abs=1e-4)  # of a whole model
        if "labels" in row:
            assert {*row["labels"]} == {name for name, score in scores.items() if score > 0.5}
            given += len(row["labels"])
    assert 10 < given < 140 or "values" in row


@pytest.mark.oracle
def test_the_loss_of_a_batch_and_the_folder_that_transformers_writes(folder):
    import torch
    from transformers import AutoModelForSequenceClassification

    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    model, vocabulary = open_model(str(folder))
    several = theirs.config.problem_type == "multi_label_classification"
    kind = KINDS["multilabel" if several else "regression"].of_labels(LABELS)
    table = random.integers(0, 2, (50, 3)) if several else random.normal(size=(50, 3))
    labels = [
        tuple(name for name, there in zip(LABELS, row, strict=True) if there)
        if several
        else dict(zip(LABELS, row.tolist(), strict=True))
        for row in table
    ]
    examples = [
        TextExample(str(n), text, None, label)
        for n, (text, label) in enumerate(zip(TEXTS, labels, strict=True))
    ]
    windows = kind.to_windows(examples, vocabulary, LABELS, 12, Reading())
    batch = BucketBatches(windows, [12], batch_size=50, seed=0).batch(0)
    arrays = {name: jnp.asarray(array[0]) for name, array in batch.items()}
    loss = jnp.mean(kind.loss(kind.forward(model, arrays), arrays))
    inputs = {
        name: torch.tensor(np.array(arrays[name]), dtype=torch.long)
        for name in ("input_ids", "attention_mask")
    }
    right = torch.tensor(table[np.array(arrays["row"])], dtype=torch.float32)
    with torch.no_grad():
        expected = theirs(**inputs, labels=right).loss
    np.testing.assert_allclose(loss, expected, rtol=1e-5)

    theirs.save_pretrained(folder / "again")
    assert load(folder / "again").config == model.config
    about = json.loads((folder / "again" / "config.json").read_text())
    assert about["problem_type"] == model.config.problem_type
