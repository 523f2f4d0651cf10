"""Folders in object storage, `gs://bucket/folder`, through a mirror of them on this machine.

An object store takes whole objects: it cannot append to, lock or memory-map them. So everything is
written into a local folder, and `upload` copies the files that changed since its last call.
Checkpoints are not in the mirror: Orbax writes them to the store itself.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec

from model.errors import InputError, first_line


def default_cache() -> Path:
    """$DISTILBERT_FLAX_CACHE, or a folder in the user's cache."""
    return Path(os.environ.get("DISTILBERT_FLAX_CACHE", "~/.cache/distilbert-flax")).expanduser()


_ADDRESS = re.compile(r"(\w+):/+(.+)")
_COMPLETE = ".complete"  # is uploaded last: a folder that has it can be downloaded whole
_NOT_MIRRORED = ("checkpoints", _COMPLETE)

_uploaded: dict[Path, tuple[int, int]] = {}  # time and size of the files in the store


def mirror(path: Path) -> Path:
    """The local folder for one named on the command line: itself, or the mirror of a `gs://` one.

    `Path` has turned `gs://bucket` into `gs:/bucket`.

    Raises:
        InputError: another kind of address.
    """
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        return path
    if found[1] != "gs":
        raise InputError(f"{path}: of addresses only gs://bucket/folder can be written to")
    return _mirrors() / found[2]


def check_on_disk(folder: Path, what: str) -> None:
    """Raises InputError where --output names a folder in object storage, or its mirror."""
    if mirror(folder) != folder or address(folder) is not None:
        raise InputError(f"--output: {what} lies on a disk, not in object storage")


def address(folder: Path) -> str | None:
    """The `gs://` address that a mirror belongs to; None for any other folder."""
    if not folder.is_relative_to(_mirrors()):
        return None
    return f"gs://{folder.relative_to(_mirrors()).as_posix()}"


def readable(folder: Path) -> str:
    """The folder's name in messages: its address, if it is a mirror."""
    return address(folder) or str(folder)


def _mirrors() -> Path:
    return default_cache() / "mirrors" / "gs"


def download(folder: Path, *, complete: bool = False, into: Path | None = None) -> bool:
    """Replaces a mirror by the store's files; returns whether there are any.

    Does nothing for other folders.

    Args:
        folder: the mirror.
        complete: ignore a folder in the store that was not uploaded to its end.
        into: another place for the files.

    Raises:
        InputError: the store cannot be reached.
    """
    if (there := address(folder)) is None:
        return False
    target = into or folder
    with _reaching(there):
        store, root = fsspec.core.url_to_fs(there)
        shutil.rmtree(target, ignore_errors=True)
        if complete and not store.exists(f"{root}/{_COMPLETE}"):
            return False
        names = [name.removeprefix(root).lstrip("/") for name in store.find(root)]
        names = [name for name in names if name.split("/")[0] not in _NOT_MIRRORED]
        for name in names:
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(f"{root}/{name}", str(path))
            _uploaded[path] = _state(path)
    return bool(names)


def upload(folder: Path, *, complete: bool = False) -> None:
    """Uploads the files of a mirror that have changed; does nothing for other folders.

    Args:
        folder: the mirror.
        complete: mark the folder in the store as complete.

    Raises:
        InputError: the store cannot be reached.
    """
    if (there := address(folder)) is None:
        return
    with _reaching(there):
        store, root = fsspec.core.url_to_fs(there)
        for path in filter(Path.is_file, folder.rglob("*")):
            if _uploaded.get(path) != (state := _state(path)):
                store.put_file(str(path), f"{root}/{path.relative_to(folder).as_posix()}")
                _uploaded[path] = state
        for path in [p for p in _uploaded if p.is_relative_to(folder) and not p.exists()]:
            store.rm_file(f"{root}/{path.relative_to(folder).as_posix()}")
            del _uploaded[path]
        if complete:
            store.pipe_file(f"{root}/{_COMPLETE}", b"")


def _state(path: Path) -> tuple[int, int]:
    stat: os.stat_result = path.stat()
    return stat.st_mtime_ns, stat.st_size


@contextmanager
def _reaching(there: str) -> Iterator[Any]:
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{there} needs gcsfs: pip install -c constraints.txt -e '.[gcs]'"
        ) from error
    except Exception as error:  # every store has its own classes
        raise InputError(
            f"cannot reach {there} ({type(error).__name__}: {first_line(error)[:200]})"
        ) from error
