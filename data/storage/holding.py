"""One command at a time in a run folder.

On a disk a lock of the kernel sees to it, which ends with its process, however that ends. An object
store has no locks: there the owner leaves a record.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data.storage.atomic import make_folder, writing
from data.storage.mirror import OWNER, address, readable
from data.storage.owner_record import OwnerRecord, in_use, this_process
from model.errors import InputError
from model.hf.temporaries import PREFIX, lock_or_none

LOCK = f"{PREFIX}lock"

logger = logging.getLogger(__name__)

_held: dict[Path, OwnerRecord | None] = {}


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Keeps a folder for this process during the block; a block inside it may hold it again.

    A folder that was made for it and stays empty is removed.

    Raises:
        InputError: another process has the folder, or it cannot be written.
    """
    folder = folder.absolute()
    if folder in _held:
        yield
        return
    there = address(folder)
    with _locked(folder) if there is None else OwnerRecord(there) as record:
        _held[folder] = record
        try:
            yield
        finally:
            del _held[folder]


def check_held(folder: Path) -> None:
    """Raises InputError if another process has taken a folder that this one held."""
    record = _held.get(folder.absolute())
    if record is not None and record.taken_by is not None:
        raise InputError(
            f"{readable(folder)} was taken over by {record.taken_by} while this process could not "
            "be heard of: nothing more is written to it"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folder(folder)
    owner = folder / OWNER
    with writing(folder, "--output"):
        lock = lock_or_none(folder / LOCK)
    try:
        if lock is None:
            raise in_use(folder, owner.read_text("utf-8") if owner.exists() else "another process")
        if not lock.is_locked:
            logger.warning("%s cannot be locked: let no other run use it meanwhile", folder)
        with writing(folder, "--output"):
            owner.write_text(this_process(), "utf-8")
        try:
            yield
        finally:
            for path in (owner, folder / LOCK):
                with suppress(OSError):
                    path.unlink()
            lock.release()
    finally:
        for path in new:
            with suppress(OSError):
                path.rmdir()  # refuses if there is something in it
