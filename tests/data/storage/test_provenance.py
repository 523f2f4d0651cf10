import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.config import DataConfig
from data.storage.provenance import (
    changed_fields,
    git_state,
    provenance,
    to_jsonable,
    write_json_atomic,
)
from model.errors import InputError
from tests.disk import full_disk
from tests.hostile import ADDRESS, SECRET


def git(folder: Path, *arguments: str) -> str:
    settings = ("user.name=t", "user.email=t@example.org", "commit.gpgsign=false")
    flags = [word for setting in settings for word in ("-c", setting)]
    command = ["git", "-C", str(folder), *flags, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/code.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_the_commit_is_the_one_checked_out(repository):
    head = git(repository, "log", "-1", "--format=%H")
    assert git_state(repository / "package") == {"commit": head, "dirty": False}


def test_a_changed_file_makes_it_dirty_wherever_it_lies(repository):
    (repository / "other.py").write_text("")
    assert git_state(repository / "package")["dirty"] is False  # nobody can have run what is new
    git(repository, "add", "other.py")
    assert git_state(repository / "package")["dirty"] is True


def test_an_installed_package_in_anothers_repository_has_no_commit(repository):
    (repository / ".venv/site-packages").mkdir(parents=True)
    (repository / ".venv/site-packages/code.py").write_text("")
    assert git_state(repository / ".venv/site-packages") == {"commit": None, "dirty": None}


def test_no_commit_outside_git_nor_without_git(repository, tmp_path_factory, monkeypatch):
    nothing = {"commit": None, "dirty": None}
    assert git_state(tmp_path_factory.mktemp("plain")) == nothing
    monkeypatch.setenv("PATH", "")
    assert git_state(repository / "package") == nothing


def test_provenance_tells_versions_and_devices_and_not_the_machines_name(monkeypatch):
    monkeypatch.setattr("os.uname", lambda: os.uname_result(("L", "secret-name", "1", "1", "m")))
    monkeypatch.setattr("socket.gethostname", lambda: "secret-name")
    origin = provenance()
    assert json.loads(json.dumps(origin)) == origin
    for name in ("jax", "flax", "optax", "tokenizers", "datasets", "numpy"):
        assert origin["versions"][name] == import_module(name).__version__
    assert origin["versions"]["python"] == sys.version.split()[0]
    assert origin["devices"] == {
        "platform": "cpu",
        "kind": "cpu",
        "count": jax.device_count(),
        "hosts": 1,
    }
    assert origin["command"].startswith("python ")
    assert "secret-name" not in json.dumps(origin)


def test_a_notebook_was_started_by_no_command(monkeypatch):
    argv = ["python", "-m", "ipykernel_launcher", "-f", "/home/me/kernel-1.json"]
    monkeypatch.setattr(sys, "orig_argv", argv)
    assert provenance()["command"] is None


@dataclass(frozen=True)
class Inner:
    share: float = 0.1
    layers: tuple[int, ...] = (0, 2)


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    output: Path = Path("runs/a")
    steps: int | None = None
    names: dict[str, Inner] = field(default_factory=lambda: {"b": Inner(0.5, ())})
    dtypes: tuple = (jnp.float32, np.dtype("int16"), jnp.bfloat16)


def test_a_configuration_becomes_what_json_reads_back():
    expected = {
        "inner": {"share": 0.1, "layers": [0, 2]},
        "output": "runs/a",
        "steps": None,
        "names": {"b": {"share": 0.5, "layers": []}},
        "dtypes": ["float32", "int16", "bfloat16"],
    }
    assert to_jsonable(Outer()) == expected
    assert json.loads(json.dumps(to_jsonable(Outer()))) == expected


def test_a_real_configuration_survives_the_disk(tmp_path):
    config = DataConfig(tokenizer="vocab.txt", corpus=("a", "b"))
    write_json_atomic(tmp_path / "config.json", config)
    read = json.loads((tmp_path / "config.json").read_text())
    assert changed_fields(read, to_jsonable(config)) == []
    assert read["corpus"] == ["a", "b"]


def test_credentials_are_neither_recorded_nor_part_of_the_command(tmp_path, monkeypatch):
    config = DataConfig(tokenizer="vocab.txt", corpus=(ADDRESS, "owner/name"))
    argv = ["python", "-m", "train.distill", "tiny", "--data.corpus", ADDRESS, "--steps", "3"]
    monkeypatch.setattr(sys, "orig_argv", argv)
    write_json_atomic(tmp_path / "config.json", {"data": config, "provenance": provenance()})
    text = (tmp_path / "config.json").read_text()
    assert SECRET not in text and "https://***@host/corpus?token=***" in text
    assert json.loads(text)["data"]["corpus"][1] == "owner/name"
    assert json.loads(text)["provenance"]["command"].endswith("--steps 3")


def test_halves_of_surrogate_pairs_survive_the_disk(tmp_path):
    write_json_atomic(tmp_path / "a.json", {"label": "a\ud800\U0001f642b"})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"label": "a\ud800\U0001f642b"}


def test_what_json_cannot_hold_is_an_error():
    with pytest.raises(TypeError):
        to_jsonable({"model": object()})


def test_changed_fields_are_named_with_dots():
    old = {"steps": 3, "data": {"corpus": ["a"], "length": 64, "deep": {"x": 1}}, "gone": 1}
    new = {"steps": 3, "data": {"corpus": ["a", "b"], "length": 64, "deep": {"x": 2}}, "new": None}
    assert changed_fields(old, new) == ["data.corpus", "data.deep.x", "gone", "new"]
    assert changed_fields(old, old) == []


def test_a_dict_that_became_a_value_is_one_change():
    assert changed_fields({"a": {"b": 1, "c": 2}}, {"a": None}) == ["a"]


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        ({"data"}, ["database.x", "x"]),
        ({"data.x"}, ["data.deep.x", "database.x", "x"]),
        ({"data.deep"}, ["data.x", "database.x", "x"]),
        ({"data.deep.x", "x"}, ["data.x", "database.x"]),
        ({"database", "x", "data.x"}, ["data.deep.x"]),
    ],
)
def test_an_ignored_name_covers_what_is_below_it_and_nothing_else(ignore, expected):
    old = {"x": 1, "data": {"x": 1, "deep": {"x": 1}}, "database": {"x": 1}}
    new = {"x": 2, "data": {"x": 2, "deep": {"x": 2}}, "database": {"x": 2}}
    assert changed_fields(old, new, ignore=ignore) == expected


def test_an_ignored_name_means_nothing_inside_another_field():
    old, new = {"data": {"database": 1}}, {"data": {"database": 2}}
    assert changed_fields(old, new, ignore={"database"}) == ["data.database"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "config.json"
    write_json_atomic(path, {"a": 1})
    with pytest.raises(InputError, match=r"cannot write .*config\.json: "), full_disk(100):
        write_json_atomic(path, {"a": "x" * 1000})
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["config.json"]  # noqa: PTH208


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_json_atomic(tmp_path / "nowhere/config.json", {})
