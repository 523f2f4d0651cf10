"""One command at a time in a run folder.

On a disk a lock of the kernel sees to it, which ends with its process, however that ends. An object
store has no locks: there the owner leaves a record and renews it, and a record that nobody renews
is one of a dead owner.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fsspec

from data.storage.atomic import make_folder, writing
from data.storage.mirror import OWNER, address, reaching, readable
from model.errors import InputError
from model.hf.temporaries import PREFIX, lock_or_none

BEAT = 20.0
"""Seconds between two renewals of a record."""
SILENCE = 120.0
"""Seconds without one after which the owner counts as dead."""

LOCK = f"{PREFIX}lock"

logger = logging.getLogger(__name__)

_held: dict[Path, "_Record | None"] = {}


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
    with _locked(folder) if there is None else _Record(there) as record:
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
            raise _in_use(folder, owner.read_text("utf-8") if owner.exists() else "another process")
        if not lock.is_locked:
            logger.warning("%s cannot be locked: let no other run use it meanwhile", folder)
        with writing(folder, "--output"):
            owner.write_text(_this_process(), "utf-8")
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


class _Record:
    """The owner's record in an object store; renewed by a thread until the block ends."""

    def __init__(self, there: str):
        self.there = there
        self.taken_by: str | None = None
        self._id = uuid.uuid4().hex
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> "_Record":
        with reaching(self.there):
            self._store, root = fsspec.core.url_to_fs(self.there)
            self._path = f"{root}/{OWNER}"
        while not self._write(new=True):
            self._outlive_owner()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self.taken_by is None:
            with suppress(Exception):  # a record that stays counts as a dead one's soon
                self._store.rm_file(self._path)

    def _write(self, *, new: bool = False) -> bool:
        """Writes the record; returns False if it should be new and there is one."""
        record = {"owner": _this_process(), "id": self._id, "renewed": time.time()}
        with reaching(self.there):
            try:
                self._store.pipe_file(
                    self._path, json.dumps(record).encode(), mode="create" if new else "overwrite"
                )
            except FileExistsError:
                return False
        return True

    def _read(self) -> dict[str, str] | None:
        with reaching(self.there):
            try:
                return json.loads(self._store.cat_file(self._path))
            except FileNotFoundError:
                return None

    def _outlive_owner(self) -> None:
        """Returns when there is no record any more, or none of a living owner.

        The clocks of two hosts may differ: only a renewal is a sign of life.

        Raises:
            InputError: it is renewed.
        """
        if (first := self._read()) is None:
            return
        logger.warning(
            "%s has been used by %s: this takes up to %.0f s to see whether it still is",
            self.there, first["owner"], SILENCE,
        )  # fmt: skip
        deadline = time.monotonic() + SILENCE
        while time.monotonic() < deadline:
            time.sleep(BEAT / 4)
            if (record := self._read()) is None:
                return
            if record != first:
                raise _in_use(self.there, record["owner"])
        with reaching(self.there), suppress(FileNotFoundError):
            self._store.rm_file(self._path)

    def _renew(self) -> None:
        while not self._end.wait(BEAT):
            # A store that cannot be reached for a while is told by the run that uploads to it.
            with suppress(InputError):
                record = self._read()
                if record is not None and record["id"] != self._id:
                    self.taken_by = record["owner"]
                    return
                self._write()


def _in_use(folder: Path | str, owner: str) -> InputError:
    return InputError(
        f"{folder} is in use by {owner}: wait for its end, or choose another folder with --output"
    )


def _this_process() -> str:
    return f"process {os.getpid()} on host {socket.gethostname()}"
