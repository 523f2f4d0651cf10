"""Folders that take long to make, made once."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock

from data.storage.atomic import refusals_told
from data.storage.mirror import download, upload


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make` unless it is there already.

    `make` writes beside the final place; only a complete folder is moved there. What a killed run
    left is removed by the next one, and processes that want the same folder wait for each other. A
    mirror's folder is also looked for in object storage, and put there.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    try:
        if not folder.exists():
            partial = folder.with_name(folder.name + ".partial")
            try:
                with writing(folder.parent):
                    shutil.rmtree(partial, ignore_errors=True)
                    partial.mkdir()
                made_before = download(folder, complete=True, into=partial)
                if not made_before:
                    partial.mkdir(exist_ok=True)
                    make(partial)
                with writing(folder.parent):
                    partial.replace(folder)
                if not made_before:
                    upload(folder, complete=True)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    finally:
        lock.release()
    return folder


def writing(cache: Path) -> AbstractContextManager[None]:
    """Around writes into the cache and nothing else: an OSError in here is the disk's."""
    return refusals_told(cache, "make room there or give another folder with --data.cache")
