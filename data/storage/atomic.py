"""Files that are whole or not there, and a disk that refuses told in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import InputError, first_line


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what was written to it takes the place of `path` at the end.

    After an error `path` is as it was and the temporary file is gone.

    Raises:
        InputError: the disk refuses (it is full or read-only, there is no such folder).
    """
    temporary = _beside(path)
    with refusals_told(path):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """The folder, made if need be.

    Raises:
        InputError: the disk refuses, or something else has this name.
    """
    with refusals_told(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def check_writable(path: Path | None) -> None:
    """Raises InputError where a file that long work ends with could not be written."""
    if path is not None:
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder, name a file")
        with refusals_told(path):
            _beside(path).touch()
            _beside(path).unlink()


def _beside(path: Path) -> Path:
    """The name under which a file is written that is to take the place of `path`."""
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def refusals_told(path: Path, remedy: str | None = None) -> Iterator[None]:
    """Around writes to `path`: an OSError in here is the disk's, and told in a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or first_line(error)
        told = f"{reason}: {remedy}" if remedy else reason
        raise InputError(f"cannot write {path}: {told}") from error
