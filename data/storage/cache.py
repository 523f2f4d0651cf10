"""Folders that take long to make, made once."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from data.storage.atomic import writing
from data.storage.mirror import download, upload


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Returns `folder`, filled by `make` unless it exists.

    `make` writes beside the final place; only a complete folder is moved there. The rest of a
    killed run is removed by the next one, and processes that want the same folder wait for each
    other. A mirror's folder is first looked for in object storage, and uploaded when made.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    cache, partial = folder.parent, folder.with_name(folder.name + ".partial")
    with writing(cache, "--data.cache"):
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    try:
        if folder.exists():
            return folder
        with writing(cache, "--data.cache"):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
        downloaded = download(folder, complete=True, into=partial)
        if not downloaded:
            partial.mkdir(exist_ok=True)
            make(partial)
        with writing(cache, "--data.cache"):
            partial.replace(folder)
        if not downloaded:
            upload(folder, complete=True)
        return folder
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        lock.release()
