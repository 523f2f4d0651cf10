"""The record of who uses a folder of an object store, which has no locks.

The owner renews it, and a record that nobody renews is one of a dead owner.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

import fsspec

from data.storage.mirror import OWNER, reaching
from model.errors import InputError

BEAT = 20.0
"""Seconds between two renewals of a record."""
SILENCE = 120.0
"""Seconds without one after which the owner counts as dead."""

logger = logging.getLogger(__name__)


class OwnerRecord:
    """The owner's record in an object store; renewed by a thread until the block ends."""

    def __init__(self, there: str):
        self.there = there
        self.taken_by: str | None = None
        self._id = uuid.uuid4().hex
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> "OwnerRecord":
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
        record = {"owner": this_process(), "id": self._id, "renewed": time.time()}
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
                raise in_use(self.there, record["owner"])
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


def in_use(folder: Path | str, owner: str) -> InputError:
    """The refusal of a folder that another process uses."""
    return InputError(
        f"{folder} is in use by {owner}: wait for its end, or choose another folder with --output"
    )


def this_process() -> str:
    """The name under which this process uses a folder."""
    return f"process {os.getpid()} on host {socket.gethostname()}"
