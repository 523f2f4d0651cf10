"""Files that are whole or absent, and errors of the disk as one sentence."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR

from model.errors import InputError, first_line
from model.hf.temporaries import temporary_folder


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
    """A temporary file that takes the place of `path` at the end.

    After an error `path` is as it was and the temporary file is gone.

    Raises:
        InputError: the disk refuses (it is full or read-only, there is no such folder).
    """
    path = _file(path.expanduser())
    with writing(path), temporary_folder(path.parent) as folder:
        yield folder / path.name
        (folder / path.name).replace(path)


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


def check_folder(path: Path) -> None:
    """Raises InputError where no folder can be: a file has the name, or it is too long."""
    with writing(path), suppress(FileNotFoundError):
        if not S_ISDIR(path.stat().st_mode):
            raise InputError(f"{path} is a file: give the name of a folder")


def check_writable(path: Path | None, read: Iterable[Path | None] = ()) -> None:
    """Raises InputError if the file that long work ends with could not be written.

    Nor may it be one of the files that the work reads, which would be lost.
    """
    if path is None:
        return
    path = _file(nameable(path))
    with writing(path):
        if any(path.exists() and each.exists() and path.samefile(each) for each in read if each):
            raise InputError(f"cannot write {path}: it is one of the files to read, name another")
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder, name a file")
        with temporary_folder(path.parent) as folder:
            (folder / path.name).touch()


def _file(path: Path) -> Path:
    """The file to replace: that which a link names.

    Raises:
        InputError: a device or a pipe has the name, and would be replaced by a file.
    """
    with writing(path):
        path = path.resolve() if path.is_symlink() else path
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"cannot write {path}: it is a device or a pipe, name a file")
    return path


def nameable(path: Path) -> Path:
    """A path that a user gave to write to, with `~` resolved.

    Raises:
        InputError: nothing on a disk can have this name, or no record could hold it.
    """
    name = str(path)
    try:
        name.encode()
        path = path.expanduser()
    except UnicodeEncodeError:
        problem = "it is not UTF-8 text"
    except RuntimeError:
        problem = "there is no such user"
    else:
        if "\0" not in name:
            return path
        problem = "it has a NUL character"
    raise InputError(f"cannot write {name!r}: {problem}")
