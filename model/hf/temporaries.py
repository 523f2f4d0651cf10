"""Temporaries: a file lies in a folder of its own, beside its place, until it is whole.

A killed process leaves such a folder behind. Its name is random after a prefix of ours, and a lock
in it, which ends with its process, tells whether the writer lives: whoever writes into the same
place next removes the folders of dead writers, and only those.
"""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

PREFIX = ".distilbert-flax-"
"""The start of the names of all that is of use only while a process of ours runs."""

_WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextmanager
def temporary_folder(place: Path) -> Iterator[Path]:
    """A new folder in `place`, removed at the end; first those that dead writers left are.

    Raises:
        OSError: the disk refuses.
    """
    for left in place.glob(f"{PREFIX}*/"):
        _remove_if_dead(left)
    path, lock = _locked_folder(place)
    try:
        yield path
    finally:
        lock.release()
        shutil.rmtree(path, ignore_errors=True)


def contents(folder: Path) -> list[Path]:
    """Everything in a folder but temporaries and locks of ours; nothing if there is no folder."""
    if not folder.exists():
        return []
    return [path for path in folder.iterdir() if not path.name.startswith(PREFIX)]


def lock_or_none(file: Path) -> BaseFileLock | None:
    """The lock of a file, or None if another process has it.

    It is not locked (`is_locked`) where the file system has no locks.

    Raises:
        OSError: the file cannot be written.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
    return lock


def _locked_folder(place: Path) -> tuple[Path, BaseFileLock]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        # Another process may have come between, taken it for a dead one's and removed it.
        with suppress(FileNotFoundError):
            if (lock := lock_or_none(path / "lock")) is not None:
                return path, lock


def _remove_if_dead(path: Path) -> None:
    with suppress(OSError):  # it is gone, or another user's
        lock = lock_or_none(path / "lock")
        if lock is not None and lock.is_locked:
            shutil.rmtree(path, ignore_errors=True)
            lock.release()
            path.rmdir()  # network file systems keep an open file, and so its folder
