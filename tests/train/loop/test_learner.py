"""What the export would refuse at the end is refused before the first update, in every loop."""

import json
from dataclasses import replace

import pytest

from model.errors import InputError
from tasks.open import TaskDataConfig
from tests import runs
from train.ablate import ablate
from train.config import RunConfig
from train.distill import distill
from train.finetune import finetune
from train.loop import fit as module
from train.pretrain import pretrain
from train.recipes import FINETUNE


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose teacher has an epsilon of 1e-5, as ERNIE has it."""
    folder = runs.make_home(tmp_path_factory.mktemp("home"))
    path = folder / "teacher" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"layer_norm_eps": 1e-5}))
    lines = [f"the {colour} cat sees a tree,{colour}\n" for colour in ("red", "green")] * 10
    (folder / "colours.csv").write_text("text,label\n" + "".join(lines))
    return folder


@pytest.fixture(autouse=True)
def no_update(monkeypatch):
    def refused(*_):
        raise AssertionError("an update was made")

    monkeypatch.setattr(module.TrainingRun, "train", refused)


def pretraining(home):
    shape = runs.MODEL.distilled(1).replace(layer_norm_eps=1e-5)
    config = runs.pretrain_config(home)
    vocabulary = json.loads((home / "teacher" / "config.json").read_text())["vocab_size"]
    pretrain(replace(config, model=shape.replace(vocab_size=vocabulary)))


def fine_tuning(home):
    recipe = FINETUNE["classification"]()
    data = TaskDataConfig(train=home / "colours.csv", dev_share=0.2)
    reading = replace(recipe.reading, max_length=16)
    run = RunConfig(devices=1)
    model = {"model": str(home / "teacher"), "layers": "first"}
    finetune(
        replace(recipe, **model, data=data, reading=reading, run=run, output=home / "run", steps=1)
    )


LOOPS = {
    "pretrain": pretraining,
    "distill": lambda home: distill(runs.distill_config(home)),
    "finetune": fine_tuning,
    "ablate": lambda home: ablate(
        runs.study_config(home, {"a": {}, "b": {"loss.ce.weight": 0}}, steps=2)
    ),
}


@pytest.mark.parametrize(
    "loop",
    [pytest.param(name, marks=pytest.mark.long) if name == "ablate" else name for name in LOOPS],
)
def test_a_model_that_its_format_does_not_hold(home, loop):
    with pytest.raises(InputError, match=r"LayerNorm epsilon of 1e-12.*layer_norm_eps of 1e-12"):
        LOOPS[loop](home)
    assert not (home / "run").exists()


def test_a_tokenizer_that_cannot_be_written(tmp_path, monkeypatch):
    home = runs.make_home(tmp_path)

    def refused(*_):
        raise InputError("the tokenizer cannot be written")

    monkeypatch.setattr("train.loop.learner.save_vocabulary", refused)
    with pytest.raises(InputError, match="the tokenizer cannot be written"):
        distill(runs.distill_config(home))
    assert not (home / "run").exists()
