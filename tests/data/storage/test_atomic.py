"""Files that are whole or not there, on disks that refuse."""

import os
from pathlib import Path

import pytest

from data.storage.atomic import check_writable, make_folder, replacing, write_text
from model.errors import InputError
from tests.disk import full_disk


def test_a_full_disk_leaves_the_old_file_and_is_reported(tmp_path: Path):
    path = tmp_path / "table.md"
    path.write_text("old")
    refused = pytest.raises(InputError, match=rf"^cannot write {path}: File too large$")
    with refused, full_disk(100), replacing(path) as temporary:
        temporary.write_text("x" * 1000)
    assert [file.name for file in tmp_path.iterdir()] == ["table.md"]
    assert path.read_text() == "old"


def test_another_error_stays_what_it_is(tmp_path: Path):
    with pytest.raises(KeyError), replacing(tmp_path / "table.md") as temporary:
        temporary.write_text("half")
        raise KeyError("row")
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_a_folder_is_reported(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=f"^cannot write {path}: "):
            make_folder(path)
    refused = pytest.raises(InputError, match="No such file or directory")
    with refused, replacing(tmp_path / "nowhere" / "table.md") as temporary:
        temporary.write_text("")


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), tmp_path / "pipe"):
        with pytest.raises(InputError, match=f"^cannot write {path}: it is a device or a pipe"):
            check_writable(path)
    with pytest.raises(InputError, match="it is a device or a pipe"), replacing(path):
        pytest.fail("written")
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_stays_one(tmp_path: Path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_file_for_later_is_tried_and_not_left(tmp_path: Path):
    (tmp_path / "there.json").write_text("old")
    check_writable(tmp_path / "there.json")
    check_writable(tmp_path / "new.json")
    check_writable(None)
    assert [file.name for file in tmp_path.iterdir()] == ["there.json"]
    assert (tmp_path / "there.json").read_text() == "old"
    for folder in (tmp_path, Path()):
        with pytest.raises(InputError, match="it is a folder, name a file"):
            check_writable(folder)
    for name in ("a\0b", "a\udcff", "~nobody-of-this-name/x", "a" * 300):
        with pytest.raises(InputError, match=r"^cannot write "):
            check_writable(tmp_path / name if "~" not in name else Path(name))
    (tmp_path / "same.json").symlink_to(tmp_path / "there.json")
    with pytest.raises(InputError, match=r"it is one of the files to read, name another$"):
        check_writable(tmp_path / "same.json", [None, tmp_path / "no", tmp_path / "there.json"])
    check_writable(tmp_path / "new.json", [None, tmp_path / "there.json"])
    path = tmp_path / "nowhere" / "new.json"
    with pytest.raises(InputError, match=f"^cannot write {path}: No such file or directory$"):
        check_writable(path)
