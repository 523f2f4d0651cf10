"""`eval.run` scores a program of ONNX as the model that it was made of."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from eval.export.__main__ import ExportConfig, export_onnx
from eval.export.runtime import load_program
from eval.run import TaskEvaluation, evaluate_task, model_in_names
from model import Seq2Seq
from model.hf.checkpoint import Checkpoint
from model.pretrained import save
from model.tasks import (
    Embedder,
    MultipleChoice,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
    backbone,
)
from tasks.open import TaskDataConfig
from tests import runs
from tests.checkpoints import fails
from tests.small import BERT, build

random = np.random.default_rng(0)
TEXTS = [" ".join(random.choice(runs.WORDS, size=random.integers(3, 9))) for _ in range(12)]
PAIRS = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True))
# The model, its classes, and the rows of a user's file.
CASES: dict[str, tuple[Any, tuple[str, ...], list[dict[str, Any]]]] = {
    "classification": (
        SequenceClassification,
        ("red", "green"),
        [{"text": t, "label": ("red", "green")[n % 2]} for n, t in enumerate(TEXTS)],
    ),
    "regression": (
        SequenceClassification,
        ("LABEL_0",),
        [{"text": text, "label": number / 4} for number, text in enumerate(TEXTS)],
    ),
    "choices": (
        MultipleChoice,
        ("LABEL_0", "LABEL_1"),
        [
            {"text": "a cat", "choices": [*pair, "or"][: 2 + number % 2], "label": 0}
            for number, pair in enumerate(PAIRS)
        ],
    ),
    "embeddings": (
        lambda config, rngs: Embedder(backbone(config, rngs=rngs)),
        ("LABEL_0", "LABEL_1"),
        [{"query": one, "document": other} for one, other in PAIRS],
    ),
}


def write(folder: Path, head: Any, labels: tuple[str, ...]) -> Path:
    vocabulary = train_wordpiece([" ".join(runs.WORDS)] * 3, 80)
    config = runs.MODEL.replace(vocab_size=vocabulary.size, max_positions=24, labels=labels)
    save(build(head, config.replace(initializer_range=0.6)), folder)
    save_vocabulary(vocabulary, folder, 24)
    return folder


def evaluate(model: Path, task: str, data: Path, output: Path) -> list[dict[str, Any]]:
    config = TaskDataConfig(test=data)
    evaluate_task(TaskEvaluation(model=str(model), task=task, data=config, output=output))
    lines = (output / "predictions-test.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def numbers(row: Any) -> list[float]:
    if isinstance(row, dict):
        return [number for value in row.values() for number in numbers(value)]
    if isinstance(row, list):
        return [number for value in row for number in numbers(value)]
    return [row] if isinstance(row, float) else []


def assert_same_predictions(model: Path, task: str, data: Path, folder: Path) -> None:
    export_onnx(ExportConfig(model=str(model), onnx=True, int8=True, output=folder / "exported"))
    ours = evaluate(model, task, data, folder / "ours")
    theirs = evaluate(folder / "exported", task, data, folder / "theirs")
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one["prediction"] == pytest.approx(other["prediction"], abs=1e-4)
        assert numbers(one) == pytest.approx(numbers(other), abs=1e-4)
    file = folder / "exported/onnx/model_quantized.onnx"
    rounded = evaluate(file, task, data, folder / "rounded")
    assert numbers(rounded) != numbers(theirs) or not numbers(theirs)


@pytest.mark.long
@pytest.mark.parametrize("task", CASES)
def test_a_program_predicts_what_its_model_does(task, tmp_path):
    head, labels, rows = CASES[task]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert_same_predictions(write(tmp_path / "model", head, labels), task, data, tmp_path)


@pytest.mark.long
def test_a_program_tags_words(tmp_path):
    data = tmp_path / "data.conll"
    words = [text.split() for text in TEXTS]
    data.write_text("\n".join("".join(f"{word}\tO\n" for word in line) for line in words))
    model = write(tmp_path / "model", TokenClassification, ("O", "B-a", "I-a"))
    export_onnx(ExportConfig(model=str(model), onnx=True, output=tmp_path / "exported"))
    found = [
        evaluate(folder, "tags", data, tmp_path / f"out-{folder.name}")
        for folder in (model, tmp_path / "exported")
    ]
    assert found[0] == found[1]


@pytest.mark.long
def test_a_program_answers_questions(tmp_path):
    data = tmp_path / "data.json"
    asked = [
        {"context": text, "qas": [{"id": str(n), "question": "a tree", "answers": [
            {"text": text.split()[0], "answer_start": 0}]}]}
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    data.write_text(json.dumps({"data": [{"paragraphs": asked}]}))
    model = write(tmp_path / "model", QuestionAnswering, ("LABEL_0", "LABEL_1"))
    assert_same_predictions(model, "answers", data, tmp_path)


def test_names_of_programs():
    assert model_in_names("runs/my-model/onnx/model.onnx") == "my-model"
    assert model_in_names("my-model/onnx/model_quantized.onnx") == "my-model-model_quantized"
    assert model_in_names("elsewhere/file.onnx") == "elsewhere-file.onnx"


def test_programs_that_cannot_be_scored(tmp_path):
    def scored(model: Path, task: str = "classification", name: str = "data.csv") -> None:
        data = TaskDataConfig(test=tmp_path / name)
        evaluate_task(TaskEvaluation(model=str(model), task=task, data=data))

    (tmp_path / "data.csv").write_text("text,label\na cat,red\na dog,green\n")
    with fails("nowhere.onnx: there is no such file"):
        scored(tmp_path / "nowhere.onnx")
    alone = tmp_path / "alone/model.onnx"
    alone.parent.mkdir()
    alone.write_bytes(b"no program")
    with fails("has no config.json, which says what", "alone/model.onnx computes"):
        scored(alone)
    model = write(tmp_path / "model", SequenceClassification, ("red", "green"))
    shutil.copytree(model, tmp_path / "alone", dirs_exist_ok=True)
    with fails("alone/model.onnx cannot be read as a program of ONNX", "export the model again"):
        scored(alone)
    export_onnx(ExportConfig(model=str(model), onnx=True, output=tmp_path / "exported"))
    row = {"text": "a cat", "choices": ["a dog", "a bird"], "label": 0}
    (tmp_path / "data.jsonl").write_text(json.dumps(row))
    with fails("exported (BertForSequenceClassification) has no head for choices: fine-tune it"):
        scored(tmp_path / "exported", "choices", "data.jsonl")


def test_a_model_that_writes_is_scored_itself(tmp_path):
    config = BERT.replace(vocab_size=80)
    with fails("programs of ONNX are not scored here for models that write texts"):
        load_program(
            tmp_path / "model.onnx", Checkpoint("", tmp_path, None, {}, config, tmp_path), Seq2Seq
        )
