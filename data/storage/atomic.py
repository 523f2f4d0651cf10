"""Files that are whole or absent, and errors of the disk as one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import InputError, first_line


@contextmanager
def writing(path: Path, flag: str | None = None) -> Iterator[None]:
    """Turns an OSError into one sentence; for a block that does nothing but write to `path`.

    Args:
        path: a file or folder.
        flag: the flag that gives another folder, for the sentence.

    Raises:
        InputError: the disk refuses (it is full or read-only, there is no such folder).
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or first_line(error)
        remedy = f": make room there or give another folder with {flag}" if flag else ""
        raise InputError(f"cannot write {path}: {reason}{remedy}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes the place of `path` at the end.

    After an error `path` is as it was and the temporary file is gone.

    Raises:
        InputError: the disk refuses (it is full or read-only, there is no such folder).
    """
    temporary = _beside(path)
    with writing(path):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text so that `path` holds the old text or the new one, never a part.

    Halves of surrogate pairs, which JSON may hold and UTF-8 cannot, become escapes of JSON.

    Raises:
        InputError: the disk refuses (it is full or read-only, there is no such folder).
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> Path:
    """The folder, made if need be.

    Raises:
        InputError: the disk refuses, or something else has this name.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_writable(path: Path | None) -> None:
    """Raises InputError if the file that long work ends with could not be written."""
    if path is not None:
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder, name a file")
        with writing(path):
            _beside(path).touch()
            _beside(path).unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")
