"""Fine-tuning of embedders: what each teacher teaches, on any devices, and after a stop."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from model.bert import Bert
from model.errors import InputError
from model.pretrained import load, save
from model.tasks import Embedder, SequenceClassification
from tasks.open import TaskDataConfig
from tests import runs
from tests.small import build
from train.command.signals import Stopped
from train.config import FinetuneConfig, RunConfig
from train.finetune import finetune
from train.loop.metric_log import MetricLog
from train.objectives.finetuning import TaskLoss
from train.recipes import FINETUNE
from train.update.parallel import Mode

CALM = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "classifier_dropout": 0.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A student, two teachers with another vocabulary than its, and files of pairs."""
    folder = tmp_path_factory.mktemp("home")
    runs.write_teacher(folder / "student", runs.MODEL.replace(**CALM))
    vocabulary = train_wordpiece([" ".join(runs.WORDS[::-1])] * 3, runs.VOCAB + 20)
    shape = runs.MODEL.replace(vocab_size=vocabulary.size, hidden_size=24, num_heads=2)
    same = shape.replace(hidden_size=runs.MODEL.hidden_size)
    for name, model in {
        "wide": Embedder(build(Bert, shape)),
        "teacher": Embedder(build(Bert, same)),
        "cross": build(SequenceClassification, shape.replace(labels=("LABEL_0",))),
    }.items():
        save(model, folder / name)
        save_vocabulary(vocabulary, folder / name)
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(runs.WORDS, size=random.integers(3, 9))) for _ in range(60)]
    pairs = [
        {
            "query": query,
            "document": document,
            "negatives": random.choice(texts[30:], size=n % 3, replace=False).tolist(),
        }
        for n, (query, document) in enumerate(zip(texts[:30], texts[30:], strict=True))
    ]
    for pair in pairs:
        pair["negatives"] = [text for text in pair["negatives"] if text != pair["document"]]
    write(folder / "pairs.jsonl", pairs)
    write(
        folder / "scored.jsonl",
        [{**p, "negatives": [], "score": n % 5} for n, p in enumerate(pairs)],
    )
    write(
        folder / "parallel.jsonl",
        [{"text": p["query"], "translation": p["document"]} for p in pairs],
    )
    return folder


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def config(home: Path, task: str, file: str, name: str, **changes: Any) -> FinetuneConfig:
    recipe = FINETUNE[task]()
    given = replace(
        recipe,
        output=home / name,
        model=str(home / "student"),
        data=TaskDataConfig(train=home / file, dev_share=0.2),
        reading=replace(recipe.reading, max_length=16, max_question=12),
        optimizer=replace(recipe.optimizer, learning_rate=3e-3),
        batch_size=8,
        steps=12,
        evaluate_every=12,
        buckets=1,
        run=RunConfig(checkpoint_every=3, devices=1),
    )
    return replace(given, **changes)


def losses(output: Path, name: str = "loss") -> list[float]:
    return [row[name] for row in runs.metrics(output) if row["kind"] == "train"]


TAUGHT = {
    "kl": ("embeddings", "pairs.jsonl", "wide", TaskLoss(task=0.0, soft=1.0)),
    "margin": ("embeddings", "pairs.jsonl", "cross", TaskLoss(form="margin")),
    "scores": ("embeddings", "scored.jsonl", "wide", TaskLoss()),
    "parallel": ("parallel", "parallel.jsonl", "teacher", TaskLoss(task=0.0, soft=1.0)),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name == "kl" else pytest.mark.slow)
        for name in TAUGHT
    ],
)
def test_a_teacher_teaches(home, name):
    task, file, teacher, loss = TAUGHT[name]
    run = config(home, task, file, name, steps=40, evaluate_every=40)
    run = replace(run, teacher=str(home / teacher), loss=loss)
    [results] = finetune(run)
    soft = losses(run.output, "soft")
    assert np.mean(soft[-5:]) < 0.8 * np.mean(soft[:5])
    assert results.keys() >= ({"spearman"} if file == "scored.jsonl" else {"right_at_1"})
    model = load(run.output / "model")
    assert isinstance(model, Embedder) and model.max_length == 16
    report = (run.output / "report.md").read_text()
    assert "SentenceTransformer(" in report


@pytest.mark.long
def test_devices_change_nothing(home):
    """Of the contrast and of what a teacher says of the batch, under jit and pmap."""
    one = config(home, "embeddings", "pairs.jsonl", "one", steps=4, teacher=str(home / "wide"))
    found = []
    ways: list[tuple[Mode, int]] = [("jit", 1), ("jit", 4), ("pmap", 4)]
    for parallel, devices in ways:
        run = RunConfig(parallel=parallel, devices=devices)
        again = replace(one, output=home / f"{parallel}-{devices}", run=run)
        finetune(again)
        found.append(losses(again.output))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5)


@pytest.mark.long
def test_a_stopped_run_resumes_bit_by_bit(home, monkeypatch):
    whole = config(home, "embeddings", "pairs.jsonl", "whole", teacher=str(home / "wide"))
    [results] = finetune(whole)
    written = MetricLog.step

    def interrupted(self, now, metrics, tokens, **more):
        written(self, now, metrics, tokens, **more)
        if now == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = replace(whole, output=home / "stopped")
    with monkeypatch.context() as patch:
        patch.setattr(MetricLog, "step", interrupted)
        with pytest.raises(Stopped):
            finetune(stopped)
    assert finetune(stopped) == [results]
    assert runs.weights(stopped.output) == runs.weights(whole.output)
    assert runs.metrics(stopped.output) == runs.metrics(whole.output)


def test_forms_and_examples_that_make_no_sense_are_refused(home):
    run = config(home, "embeddings", "pairs.jsonl", "refused", teacher=str(home / "cross"))
    with pytest.raises(InputError, match="is a cross-encoder, which scores pairs"):
        finetune(run)
    other = replace(config(home, "embeddings", "pairs.jsonl", "x"), task="regression")
    other = replace(other, loss=TaskLoss(form="kl"), teacher=str(home / "cross"))
    write(home / "values.jsonl", [{"text": "a tree", "label": n} for n in range(9)])
    other = replace(other, data=TaskDataConfig(train=home / "values.jsonl"))
    with pytest.raises(InputError, match=r"--loss.form kl means nothing to a model of values"):
        finetune(other)
    write(home / "dev.jsonl", [{"query": "a", "document": "b"}])
    half = config(home, "embeddings", "scored.jsonl", "half")
    half = replace(half, data=TaskDataConfig(train=home / "scored.jsonl", dev=home / "dev.jsonl"))
    with pytest.raises(InputError, match="1 of 1 development examples have no label"):
        finetune(half)
