"""Folders that take long to make, made once."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock

from data.storage.atomic import writing
from data.storage.mirror import download, upload
from model.hf.temporaries import temporary_folder


def make_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Returns `folder`, filled by `make` unless it exists.

    `make` writes beside the final place; only a complete folder is moved there. Processes that want
    the same folder wait for each other. A mirror's folder is first looked for in object storage,
    and uploaded when made.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    cache = folder.parent
    with ExitStack() as stack:
        with writing(cache, "--data.cache"):
            cache.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{folder}.lock"))
        if folder.exists():
            return folder
        with writing(cache, "--data.cache"):
            partial = stack.enter_context(temporary_folder(cache)) / folder.name
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
