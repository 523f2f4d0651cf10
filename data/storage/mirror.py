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

import fsspec

from data.storage.atomic import check_folder, nameable
from model.errors import InputError, first_line
from model.hf.temporaries import PREFIX


def default_cache() -> Path:
    """$DISTILBERT_FLAX_CACHE, or a folder in the user's cache."""
    return Path(os.environ.get("DISTILBERT_FLAX_CACHE", "~/.cache/distilbert-flax")).expanduser()


_ADDRESS = re.compile(r"(\w+):(?:/+(.*))?")
OWNER = f"{PREFIX}owner"  # names the process that has a folder
_COMPLETE = ".complete"  # is uploaded last: a folder that has it can be downloaded whole
_NOT_MIRRORED = ("checkpoints", _COMPLETE, OWNER)

_uploaded: dict[Path, tuple[int, int]] = {}  # time and size of the files in the store


def mirror(path: Path) -> Path:
    """The local folder for one named on the command line: itself, or the mirror of a `gs://` one.

    `Path` has turned `gs://bucket` into `gs:/bucket`, and nothing into the current folder.

    Raises:
        InputError: another kind of address, or not the name of a folder.
    """
    path = nameable(path)
    if path == Path():
        raise InputError("a folder's name is empty, or that of the one you are in: give another")
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        check_folder(path)
        return path
    if found[1] != "gs":
        raise InputError(f"{path}: of addresses only gs://bucket/folder can be written to")
    if not found[2]:
        raise InputError("gs:// names no bucket: give gs://bucket/folder")
    return _mirrors() / found[2]


def on_disk(folder: Path, what: str, flag: str = "--output") -> Path:
    """The folder that a flag names; raises InputError for one in object storage."""
    local = mirror(folder)
    if address(local) is not None:
        raise InputError(f"{flag}: {what} lies on a disk, not in object storage")
    return local


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
    with reaching(there):
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
    with reaching(there):
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
def reaching(there: str) -> Iterator[None]:
    """Turns what a store raises into one sentence."""
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
