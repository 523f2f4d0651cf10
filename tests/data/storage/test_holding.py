"""One command at a time in a run folder, on disks and in object storage."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry

from data.storage import holding as module
from data.storage import owner_record
from data.storage.holding import check_held, holding
from data.storage.mirror import mirror
from data.storage.owner_record import OwnerRecord
from model.errors import InputError

HOLDER = """
import sys
from pathlib import Path
from data.storage.holding import holding
with holding(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_other_process_is_named_until_it_ends(tmp_path: Path):
    folder = tmp_path / "runs" / "a"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        sentence = rf"a is in use by process {other.pid} on host {socket.gethostname()}: wait for"
        for _ in range(2):
            with pytest.raises(InputError, match=sentence), holding(folder):
                pass
        other.kill()
    assert any(folder.iterdir())
    with holding(folder):  # the dead one's lock is no lock
        (folder / "config.json").write_text("")
    assert [path.name for path in folder.iterdir()] == ["config.json"]


def test_a_folder_made_for_nothing_is_removed(tmp_path: Path):
    with (
        pytest.raises(KeyError),
        holding(tmp_path / "runs" / "a"),
        holding(tmp_path / "runs" / "a"),
    ):
        assert (tmp_path / "runs" / "a").is_dir()
        raise KeyError
    assert not any(tmp_path.iterdir())


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file: "), holding(tmp_path / "file"):
        pass

    def acquire(number: int):
        def refuse(self, **_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(FileLock, "acquire", refuse)

    acquire(30)
    sentence = r"cannot write .*: Read-only file system: .*another folder with --output"
    with pytest.raises(InputError, match=sentence), holding(tmp_path):
        pass
    acquire(37)  # no locks: the work goes on
    with holding(tmp_path):
        pass


class Bucket(MemoryFileSystem):
    protocol = "gs"

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("gs://", "memory://", 1))


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """An object store whose owners are renewed fast."""
    monkeypatch.setitem(_registry, "gs", Bucket)
    monkeypatch.setattr(Bucket, "store", {})
    monkeypatch.setenv("DISTILBERT_FLAX_CACHE", str(tmp_path))
    monkeypatch.setattr(owner_record, "BEAT", 0.02)
    monkeypatch.setattr(owner_record, "SILENCE", 0.4)
    return Bucket.store


def test_in_object_storage_a_renewed_record_keeps_others_away(bucket):
    folder = mirror(Path("gs://bucket/run"))
    with holding(folder):
        sentence = r"gs://bucket/run is in use by process \d+ on host .*: wait for its end"
        with pytest.raises(InputError, match=sentence), OwnerRecord("gs://bucket/run"):
            pass
        check_held(folder)
    assert bucket == {}


def test_in_object_storage_a_silent_owner_is_followed_and_finds_out(bucket):
    folder = mirror(Path("gs://bucket/run"))
    with holding(folder):
        record = module._held[folder]
        assert record is not None
        record._end.set()  # it falls silent
        record._thread.join()
        with OwnerRecord("gs://bucket/run"):
            record._end.clear()
            record._renew()  # it comes back
            with pytest.raises(InputError, match=r"gs://bucket/run was taken over by process"):
                check_held(folder)
        assert bucket == {}
