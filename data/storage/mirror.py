"""Folders in object storage, `gs://bucket/folder`, through a mirror of them on this machine.

An object store takes whole objects: nothing is appended to, locked or memory-mapped there. So all
is written into a local folder, and `upload` brings over what has changed since it was last called.
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
_NOT_MIRRORED = ("checkpoints",)
_COMPLETE = ".complete"  # is uploaded last: what has it can be downloaded whole

_uploaded: dict[Path, tuple[int, int]] = {}  # time and size of the files that are there


def mirror(path: Path) -> Path:
    """Where a folder named on the command line lies for us: there or, of a `gs://` one, its mirror.

    `Path` has made `gs:/bucket` of `gs://bucket`.

    Raises:
        InputError: another kind of address.
    """
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        return path
    if found[1] != "gs":
        raise InputError(f"{path}: of addresses only gs://bucket/folder can be written to")
    return _mirrors() / found[2]


def check_on_disk(folder: Path, what: str, flag: str = "--output") -> None:
    """Raises InputError where `flag` names a folder in object storage, or its mirror."""
    if mirror(folder) != folder or address(folder) is not None:
        raise InputError(f"{flag}: {what} lies on a disk, not in object storage")


def address(folder: Path) -> str | None:
    """The `gs://` address that a mirror belongs to; None for any other folder."""
    if not folder.is_relative_to(_mirrors()):
        return None
    return f"gs://{folder.relative_to(_mirrors()).as_posix()}"


def readable(folder: Path) -> str:
    """How a person knows the folder."""
    return address(folder) or str(folder)


def _mirrors() -> Path:
    return default_cache() / "mirrors" / "gs"


def download(folder: Path, *, complete: bool = False, into: Path | None = None) -> bool:
    """Makes a mirror what the store holds; whether it holds anything. Other folders stay.

    Args:
        folder: the mirror.
        complete: only what was uploaded to its end counts.
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
        found = [name for name in store.find(root) if not _left_out(name, root)]
        for name in found:
            path = target / name.removeprefix(root).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(name, str(path))
            _uploaded[path] = _state(path)
    return bool(found)


def upload(folder: Path, *, complete: bool = False) -> None:
    """Brings to the store what has changed in a mirror; does nothing for other folders.

    Args:
        folder: the mirror.
        complete: nothing will be added to it.

    Raises:
        InputError: the store cannot be reached.
    """
    if (there := address(folder)) is None:
        return
    with _reaching(there):
        store, root = fsspec.core.url_to_fs(there)
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in files:
            if _uploaded.get(path) != (state := _state(path)):
                store.put_file(str(path), f"{root}/{path.relative_to(folder).as_posix()}")
                _uploaded[path] = state
        for path in [p for p in _uploaded if p.is_relative_to(folder) and not p.exists()]:
            store.rm_file(f"{root}/{path.relative_to(folder).as_posix()}")
            del _uploaded[path]
        if complete:
            store.pipe_file(f"{root}/{_COMPLETE}", b"")


def _left_out(name: str, root: str) -> bool:
    first = name.removeprefix(root).lstrip("/").split("/")[0]
    return first in (*_NOT_MIRRORED, _COMPLETE)


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
    except Exception as error:  # every store has its own kinds
        raise InputError(
            f"cannot reach {there} ({type(error).__name__}: {first_line(error)[:200]})"
        ) from error
