"""Folders in object storage, of which a local folder plays the part."""

import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from etils.epath import backend
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import _registry, known_implementations
from orbax.checkpoint._src.path import gcs_utils

from data.storage.atomic import check_writable, write_text
from data.storage.cache import make_once
from data.storage.mirror import _uploaded, address, download, mirror, on_disk, readable, upload
from eval.against_torch import config_of as comparison
from eval.glue import Glue, run_glue
from eval.run import TaskEvaluation, evaluate_task
from model.errors import InputError
from tests import runs
from train.ablate import chosen_study
from train.command.cli import with_mirrors
from train.command.signals import Stopped
from train.loop.metric_log import MetricLog
from train.pretrain import pretrain
from train.quickstart import Quickstart, quickstart


class Store(LocalFileSystem):
    """What gcsfs gives, with the buckets in a folder."""

    protocol = ("gs", "gcs")
    root = ""

    def __init__(self, **options):
        super().__init__(auto_mkdir=True, **options)  # names of objects are no folders

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(cls.local(str(path)))

    @classmethod
    def local(cls, path):
        """Where an object lies; what is listed begins with the folder of the buckets already."""
        if not path.startswith("gs://"):
            return path
        name = "/" + path.removeprefix("gs://").lstrip("/")
        return name if name.startswith(cls.root) else cls.root + name


def local_store(path):
    """What tensorstore opens instead of a bucket: folders end in a slash there, files do not."""
    slash = "" if path.endswith("/_sharding") else "/"
    return {"driver": "file", "path": Store.local(path) + slash}


@pytest.fixture
def buckets(tmp_path, monkeypatch):
    """The folder of all buckets; nothing is in our mirrors."""
    root = tmp_path / "buckets"
    root.mkdir()
    monkeypatch.setattr(Store, "root", str(root))
    monkeypatch.setitem(_registry, "gs", Store)
    monkeypatch.setitem(_registry, "gcs", Store)
    monkeypatch.setenv("DISTILBERT_FLAX_CACHE", str(tmp_path / "home"))
    # Orbax's arrays go through tensorstore, and the client of the cloud is not installed.
    monkeypatch.setattr(gcs_utils, "get_kvstore_for_gcs", local_store)
    monkeypatch.setattr(gcs_utils, "is_hierarchical_namespace_enabled", lambda path: False)
    store = backend.fsspec_backend
    monkeypatch.setattr(type(store), "_get_filesystem", lambda self, name: fsspec.filesystem(name))
    _uploaded.clear()
    yield root
    _uploaded.clear()


def lose_the_machine():
    shutil.rmtree(os.environ["DISTILBERT_FLAX_CACHE"])
    _uploaded.clear()


def test_only_addresses_have_mirrors(buckets, tmp_path):
    folder = mirror(Path("gs://bucket/a/run"))
    assert (address(folder), readable(folder)) == ("gs://bucket/a/run",) * 2
    assert address(folder / "model") == "gs://bucket/a/run/model"
    assert mirror(tmp_path / "run") == tmp_path / "run"
    assert mirror(Path("runs/gs")) == Path("runs/gs") and address(Path("runs/gs")) is None
    with pytest.raises(InputError, match=r"s3:/bucket/run: of addresses only gs://"):
        mirror(Path("s3://bucket/run"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "a folder's name is empty, or that of the one you are in: give another"),
        ("gs://", "gs:// names no bucket: give gs://bucket/folder"),
        ("file", "file is a file: give the name of a folder"),
        ("file/run", "cannot write file/run: Not a directory"),
        ("a" * 300, f"cannot write {'a' * 300}: File name too long"),
        ("a\0b", r"cannot write 'a\x00b': it has a NUL character"),
        ("a\udcff", r"cannot write 'a\udcff': it is not UTF-8 text"),
        ("~nobody-of-this-name/run", "cannot write '~nobody-of-this-name/run': there is no such"),
    ],
)
def test_a_name_that_is_none_is_refused(tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    config = runs.pretrain_config(tmp_path, output=Path(name))
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        with_mirrors(config)
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        on_disk(Path(name), "a study's folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert mirror(Path("~/runs/a")) == tmp_path / "runs" / "a"
    check_writable(Path("~/numbers.json"))
    write_text(Path("~/numbers.json"), "1")
    assert (tmp_path / "numbers.json").read_text() == "1"


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (lambda: quickstart(Quickstart(output=Path("gs://bucket/x"))), "the quickstart's folder"),
        (
            lambda: run_glue(Glue(teacher="a", student="b", output=Path("gs://bucket/x"))),
            "the folder of all runs",
        ),
        (
            lambda: evaluate_task(
                TaskEvaluation(model="a", task="rte", output=Path("gs://bucket/x"))
            ),
            "an evaluation's folder",
        ),
        (lambda: chosen_study(["paper-table-4", "--output", "gs://bucket/x"]), "a study's folder"),
        (
            lambda: comparison(["rte", "--output", "gs://bucket/x"]),
            "a comparison's folder",
        ),
    ],
)
def test_commands_that_need_a_disk_take_no_address(tmp_path, monkeypatch, command, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"--output: {what} lies on a disk, not in object storage"):
        command()
    assert not any(tmp_path.iterdir())


def test_what_has_changed_is_brought_over(buckets):
    folder, there = mirror(Path("gs://bucket/run")), buckets / "bucket" / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("1\n")
    (folder / "model" / "vocab.txt").write_text("a")
    upload(folder)
    (there / "model" / "vocab.txt").write_text("not touched again")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("2\n")
    upload(folder)
    assert (there / "metrics.jsonl").read_text() == "1\n2\n"
    assert (there / "model" / "vocab.txt").read_text() == "not touched again"
    (folder / "metrics.jsonl").unlink()
    upload(folder)
    assert not (there / "metrics.jsonl").exists()


def test_a_mirror_becomes_what_the_store_holds(buckets):
    folder, there = mirror(Path("gs://bucket/run")), buckets / "bucket" / "run"
    assert not download(folder)
    (there / "checkpoints" / "5").mkdir(parents=True)
    (there / "checkpoints" / "5" / "large").write_text("stays there")
    (there / "config.json").write_text("{}")
    folder.mkdir(parents=True)
    (folder / "of-another-try").write_text("")
    assert download(folder)
    assert [path.name for path in folder.rglob("*")] == ["config.json"]


def test_a_cache_is_filled_by_one_machine_for_all(buckets):
    cache, made = mirror(Path("gs://bucket/cache")), []

    def make(folder):
        made.append(folder)
        (folder / "tokens.bin").write_bytes(b"12")

    for _ in range(2):
        assert (make_once(cache / "abc", make) / "tokens.bin").read_bytes() == b"12"
        lose_the_machine()
    assert len(made) == 1
    (buckets / "bucket" / "cache" / "abc" / ".complete").unlink()  # as if cut off
    make_once(cache / "abc", make)
    assert len(made) == 2


def test_an_entry_that_was_damaged_in_the_store_is_made_and_brought_there_again(buckets, capsys):
    cache, there = mirror(Path("gs://bucket/cache")), buckets / "bucket" / "cache" / "abc"

    def make(folder):
        (folder / "tokens.bin").write_bytes(b"12")

    make_once(cache / "abc", make)
    lose_the_machine()
    (there / "tokens.bin").write_bytes(b"13")
    assert (make_once(cache / "abc", make) / "tokens.bin").read_bytes() == b"12"
    assert "tokens.bin is damaged: its folder is made again" in capsys.readouterr().err
    assert (there / "tokens.bin").read_bytes() == b"12"
    (cache / "abc" / "tokens.bin").write_bytes(b"14")  # here alone: the store has it whole
    make_once(cache / "abc", lambda _: pytest.fail("it need not be made"))
    assert (cache / "abc" / "tokens.bin").read_bytes() == b"12"


def test_a_store_that_cannot_be_reached_is_reported(buckets, monkeypatch):
    folder = mirror(Path("gs://bucket/run"))

    def forbidden(*_, **__):
        raise PermissionError("no access to bucket\nmore")

    def silent(*_, **__):
        raise TimeoutError

    monkeypatch.setattr(Store, "find", forbidden)
    with pytest.raises(InputError, match=r"cannot reach gs://bucket/run \(Perm.*to bucket\)"):
        download(folder)
    monkeypatch.setattr(Store, "find", silent)
    with pytest.raises(InputError, match=r"cannot reach gs://bucket/run \(TimeoutError"):
        download(folder)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"needs gcsfs: pip install"):
        monkeypatch.setitem(known_implementations, "gs", {"class": "no_such.X"})
        download(mirror(Path("gs://bucket/run")))


@pytest.mark.slow
def test_a_run_in_a_bucket_resumes_on_another_machine(buckets, tmp_path, monkeypatch):
    home = runs.make_home(tmp_path / "texts")
    config = runs.pretrain_config(home)
    there = buckets / "bucket" / "run"
    remote = replace(config, output=Path("gs://bucket/run"))
    remote = replace(remote, data=replace(config.data, cache=Path("gs://bucket/cache")))
    write = MetricLog.step

    def stopped(self, step, metrics, tokens, **more):
        write(self, step, metrics, tokens, **more)
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(MetricLog, "step", stopped)
        with pytest.raises(Stopped, match="everything is saved in gs://bucket/run: the same"):
            pretrain(with_mirrors(remote))
    saved = {int(path.name) for path in (there / "checkpoints").iterdir()}
    assert max(saved) in (7, 8) and (there / "metrics.jsonl").is_file()
    lose_the_machine()
    pretrain(with_mirrors(remote))
    pretrain(config)
    assert runs.weights(there) == runs.weights(config.output)
    assert runs.metrics(there) == runs.metrics(config.output)
    for name in ("config.json", "report.md", "model/vocab.txt"):
        assert (there / name).is_file(), name
    assert any((buckets / "bucket" / "cache" / "sequences").iterdir())
