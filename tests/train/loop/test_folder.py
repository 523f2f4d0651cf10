"""A run folder: whose it is, and what a killed process leaves in it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from data.storage.holding import LOCK
from model.errors import InputError
from model.hf.temporaries import contents
from model.pretrained import save
from model.tasks import MaskedLM
from tests import runs
from tests.killed import killed
from tests.small import BERT, build
from train.distill import distill
from train.finetune import finetune
from train.loop.folder import claim
from train.pretrain import pretrain
from train.recipes import FINETUNE

# As long as a first file is not whole, nothing is moved to its place.
CLAIM = """
from tests import runs
from data.storage.holding import holding
from train.loop.folder import claim
config = runs.pretrain_config(folder, output=folder / "run")
Path.replace = die
with holding(config.output):
    claim(config, "pretrain", {})
"""
EXPORT = """
from model.pretrained import save
from model.tasks import MaskedLM
from tests.small import BERT, build
Path.replace = die
save(build(MaskedLM, BERT), folder)
"""


@pytest.mark.long
def test_a_kill_during_the_first_write_leaves_an_empty_folder(tmp_path: Path):
    config = runs.pretrain_config(tmp_path, output=tmp_path / "run")
    killed(CLAIM, tmp_path)
    assert any(config.output.iterdir()) and contents(config.output) == []
    with pytest.raises(InputError, match="is not empty and holds no run"):
        (config.output / "thesis.tex").touch()
        claim(config, "pretrain", {})
    (config.output / "thesis.tex").unlink()
    claim(config, "pretrain", {})
    assert json.loads((config.output / "config.json").read_text())["kind"] == "pretrain"
    assert not [path for path in config.output.iterdir() if path.is_dir()]


def test_a_kill_during_an_export_leaves_nothing_in_the_next(tmp_path: Path):
    killed(EXPORT, tmp_path)
    assert any(tmp_path.iterdir()) and contents(tmp_path) == []
    save(build(MaskedLM, BERT), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]


@pytest.mark.parametrize("loop", ["pretrain", "distill", "finetune"])
def test_a_folder_in_use_is_refused_before_any_work(tmp_path: Path, loop: str):
    folder = tmp_path / "run"
    folder.mkdir()
    with FileLock(folder / LOCK), pytest.raises(InputError, match="run is in use by another"):
        if loop == "pretrain":
            pretrain(runs.pretrain_config(tmp_path))
        elif loop == "distill":
            distill(runs.distill_config(tmp_path))
        else:
            finetune(replace(FINETUNE["sst2"](), output=folder, model="nowhere", seeds=3))
    assert not (tmp_path / "cache").exists()
