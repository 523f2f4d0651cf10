"""Uploads of models to a hub on this machine, and what is refused before anything is sent."""

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import ModelCard

from model.errors import InputError
from model.hf.card import MARK
from model.pretrained import load
from tests import runs
from tests.hub_uploads import Uploads, accepting
from train.share import ShareConfig, share

# The hub's client calls the library beneath it in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return runs.write_teacher(tmp_path_factory.mktemp("share") / "model")


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    uploads = Uploads()
    with accepting(uploads, monkeypatch):
        yield uploads


def test_the_folder_is_uploaded_in_private(hub, model, tmp_path, capsys):
    share(ShareConfig(folder=model, name="user/small", license="mit", language="en"))
    assert hub.private == {"user/small": True}
    names = {name.removeprefix("user/small/") for name in hub.files}
    assert names == {path.name for path in model.iterdir()} >= {"README.md", "tokenizer.json"}
    for name in names - {"README.md"}:
        assert hub.files[f"user/small/{name}"] == (model / name).read_bytes()
    card: Any = ModelCard(hub.files["user/small/README.md"].decode())
    assert (card.data.license, card.data.language) == ("mit", "en")
    assert "from_pretrained('user/small')" in card.text and "MODEL" not in card.text
    assert MARK not in card.text
    assert "uploaded: " in capsys.readouterr().out
    for name, content in hub.files.items():
        path = tmp_path / Path(name).name
        path.write_bytes(content)
    load(tmp_path)


def test_a_public_one_is_made_only_if_that_is_asked_for(hub, model):
    share(ShareConfig(folder=model, name="user/small", public=True))
    assert hub.private == {"user/small": False}
    hub.files.clear()
    with pytest.raises(InputError, match="user/small is there, and public: add --public"):
        share(ShareConfig(folder=model, name="user/small"))
    assert not hub.files
    share(ShareConfig(folder=model, name="user/small", public=True))
    assert hub.files


def test_a_dry_run_shows_every_file_and_the_card(hub, model, capsys):
    (model / ".cache").mkdir(exist_ok=True)
    (model / ".cache" / "notes").write_text("mine")
    share(ShareConfig(folder=model, name="user/small", dry_run=True))
    printed = capsys.readouterr().out
    for path in model.iterdir():
        assert (path.name in printed) == (path.name != ".cache")
    assert "pipeline_tag: fill-mask" in printed and "from_pretrained('user/small')" in printed
    assert not hub.private and not hub.files


def test_a_card_of_ones_own_is_kept(hub, model, tmp_path):
    for path in model.glob("*.*"):
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\nMine, a MODEL.\n")
    share(ShareConfig(folder=tmp_path, name="user/small"))
    assert hub.files["user/small/README.md"].decode().endswith("Mine, a MODEL.\n")
    (tmp_path / "README.md").unlink()
    share(ShareConfig(folder=tmp_path, name="user/small"))
    assert b"# BertForMaskedLM" in hub.files["user/small/README.md"]
    (tmp_path / "README.md").write_text("---\n: : [\n---\n")
    with pytest.raises(InputError, match=r"README\.md: its header cannot be read"):
        share(ShareConfig(folder=tmp_path, name="user/small"))


def refused(config: ShareConfig, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        share(config)
    assert "\n" not in str(error.value)


def test_what_is_refused(hub, model, tmp_path, monkeypatch):
    refused(ShareConfig(folder=tmp_path / "no", name="user/a"), "is no folder here")
    refused(ShareConfig(folder=tmp_path, name="user/a"), "holds no model")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text('{"kind": "distill"}')
    shutil.copytree(model, tmp_path / "run/model")
    refused(ShareConfig(folder=tmp_path / "run", name="user/a"), "of a run: name .*/run/model")
    for name in ("small", "user/a/b", "us er/a", "user/..", "user/é"):
        refused(ShareConfig(folder=model, name=name), "^NAME is .*: give user/name")
    refused(ShareConfig(folder=model, name="other/a"), "this token may not write there")
    monkeypatch.setenv("HF_TOKEN", "wrong")
    refused(ShareConfig(folder=model, name="user/a"), "the hub does not know the token")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    refused(ShareConfig(folder=model, name="user/a"), "there is no token for the hub here")
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    refused(ShareConfig(folder=model, name="user/a"), "the hub cannot be reached")
    assert not hub.private and not hub.files
