"""A summariser from a file to a text: it learns, is scored beside baselines, and summarises."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.predict import open_model, predict
from eval.run import TaskEvaluation, evaluate_task
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from tasks.open import TaskDataConfig
from tasks.reading import Asked
from tests import runs
from train.config import RunConfig
from train.finetune import finetune
from train.recipes import FINETUNE


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A model, and documents in which the sentence about a tree is the summary."""
    folder = tmp_path_factory.mktemp("home")
    runs.write_teacher(folder / "model", runs.MODEL.replace(max_positions=48))
    random = np.random.default_rng(0)
    words = [word for word in runs.WORDS if word != "tree"]
    rows = []
    for number in range(80):
        sentences = [" ".join(random.choice(words, size=4)) for _ in range(4)]
        place = number % 4
        sentences[place] = "tree " + sentences[place]
        rows.append({"text": sentences, "summary": sentences[place], "title": "a cat"})
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def trained(home):
    recipe = FINETUNE["extractive"]()
    config = replace(
        recipe,
        output=home / "run",
        model=str(home / "model"),
        data=TaskDataConfig(train=home / "own.jsonl", dev_share=0.2),
        reading=replace(recipe.reading, max_length=40),
        optimizer=replace(recipe.optimizer, learning_rate=1e-2),
        steps=80,
        run=RunConfig(devices=1),
    )
    return finetune(config), home / "run" / "model"


@pytest.mark.long
def test_it_learns_what_belongs_into_a_summary(trained, home, monkeypatch):
    [metrics], model = trained
    assert metrics["rouge1"] == 1.0
    config = open_checkpoint(model).config
    assert config.summary_sentences == 1 and config.labels == ("left out", "in the summary")

    monkeypatch.chdir(home)
    own = TaskDataConfig(test=home / "own.jsonl")
    scores = evaluate_task(TaskEvaluation(model=str(model), task="extractive", data=own))["test"]
    assert scores["rouge1"] == scores["oracle_rouge1"] == 1.0
    assert scores["title_rouge1"] < scores["lead_rouge1"] < 0.6
    [file] = home.glob("runs/eval-*/predictions-test.jsonl")
    first = json.loads(file.read_text().splitlines()[0])
    assert [first["prediction"]] == first["gold"] and first["sentences"] == [0]

    text = "the old cat likes \ntree a bird sees red\nsmall dog hears green"
    [found] = predict(*open_model(str(model)), [text])
    assert found["summary"] == "tree a bird sees red"
    [sentence] = found["sentences"]
    assert text[sentence["start"] : sentence["end"]] == sentence["text"] == found["summary"]
    [found] = predict(*open_model(str(model)), [text], Asked(top=2))
    assert len(found["sentences"]) == 2 and "tree a bird sees red" in found["summary"].split("\n")


@pytest.mark.long
def test_a_tagger_is_no_summariser(home, trained):
    recipe = FINETUNE["tags"]()
    (home / "own.conll").write_text("a O\ncat B-animal\n\nthe O\ndog B-animal\n")
    data = TaskDataConfig(train=home / "own.conll", dev=home / "own.conll")
    run = RunConfig(devices=1)
    changes = {"output": home / "tagger", "model": str(home / "model"), "data": data, "run": run}
    reading = replace(recipe.reading, max_length=16)
    finetune(replace(recipe, **changes, reading=reading, steps=1, batch_size=2))
    tagger = str(home / "tagger" / "model")
    own = TaskDataConfig(test=home / "own.jsonl")
    with pytest.raises(InputError, match=r"has the classes .*B-animal.*, and extractive takes a s"):
        evaluate_task(TaskEvaluation(model=tagger, task="extractive", data=own))
    summariser = str(trained[1])
    own = TaskDataConfig(test=home / "own.conll")
    with pytest.raises(InputError, match=r"the tag .O. of .a. is none of left out, in the summary"):
        evaluate_task(TaskEvaluation(model=summariser, task="tags", data=own))
