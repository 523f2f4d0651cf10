"""Temporaries of dead writers are removed, and only those."""

import tempfile
from pathlib import Path

import pytest

from model.hf.temporaries import PREFIX, contents, temporary_folder
from tests.killed import killed


def test_a_dead_writers_folder_goes_and_a_living_ones_stays(tmp_path: Path):
    with temporary_folder(tmp_path) as living:
        killed(
            "from model.hf.temporaries import temporary_folder\n"
            "with temporary_folder(folder) as temporary:\n"
            "    (temporary / 'half').write_text('')\n"
            "    die()",
            tmp_path,
        )
        (dead,) = set(tmp_path.iterdir()) - {living}
        assert (dead / "half").exists() and contents(tmp_path) == []
        with temporary_folder(tmp_path) as other:
            assert set(tmp_path.iterdir()) == {living, other}
    assert not any(tmp_path.iterdir())


def test_names_cannot_be_foreseen_and_others_are_left_alone(tmp_path: Path):
    (tmp_path / f"{PREFIX}notes").write_text("a file")
    (tmp_path / ".tmp").mkdir()
    names = set()
    for _ in range(3):
        with temporary_folder(tmp_path) as folder:
            assert folder.name.startswith(PREFIX)
            names.add(folder.name)
    assert len(names) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{PREFIX}notes", ".tmp"]
    assert contents(tmp_path / "nowhere") == []


def test_a_file_system_without_locks_has_temporaries_all_the_same(tmp_path: Path, monkeypatch):
    def no_locks(self, **_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("filelock.FileLock.acquire", no_locks)
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path) as second:
        # Who cannot tell whether a writer lives leaves its folder alone.
        assert {first, second} == set(tmp_path.iterdir())
    assert not any(tmp_path.iterdir())


def test_a_writer_whose_folder_is_taken_for_a_dead_ones_has_one_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another process may look at the folder before its lock is there."""
    make = tempfile.mkdtemp

    def raced(**options):
        monkeypatch.undo()
        folder = Path(make(**options))
        with temporary_folder(tmp_path):
            assert not folder.exists()
        return str(folder)

    monkeypatch.setattr(tempfile, "mkdtemp", raced)
    with temporary_folder(tmp_path) as folder, temporary_folder(tmp_path):
        (folder / "file").write_text("")
    assert not any(tmp_path.iterdir())
