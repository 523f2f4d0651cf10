"""Folders that take long to make, made once, and verified whenever they are opened."""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import xxhash
from filelock import FileLock

from data.storage.atomic import write_text, writing
from data.storage.mirror import download, upload
from model.errors import InputError
from model.hf.config import read_settings
from model.hf.temporaries import temporary_folder
from model.terminal import say

DIGESTS = "digests.json"
"""The file of an entry with the 128-bit xxHash of every other file, by name."""


def make_once(folder: Path, make: Callable[[Path], None], *, flag: str = "--data.cache") -> Path:
    """Returns `folder`, filled by `make` unless it is there and as it was written.

    `make` writes beside the final place; only a complete folder is moved there, with the digests of
    its files. A folder that differs from its digests is named and made again. Processes that want
    the same folder wait for each other. A mirror's folder is first looked for in object storage,
    and uploaded when made. `flag` is the one that gives another cache, for messages.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    if _damage(folder) is None:
        return folder
    cache = folder.parent
    with ExitStack() as stack:
        with writing(cache, flag):
            cache.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{folder}.lock"))
        if _usable(folder):  # another process was faster
            return folder
        with writing(cache, flag):
            partial = stack.enter_context(temporary_folder(cache)) / folder.name
        downloaded = download(folder, complete=True, into=partial) and _usable(partial)
        if not downloaded:
            with writing(cache, flag):
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
            make(partial)
            with writing(cache, flag):
                write_text(partial / DIGESTS, json.dumps(_digests(partial), indent=2) + "\n")
        with writing(cache, flag):
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
        if not downloaded:
            upload(folder, complete=True)
        return folder


def _usable(folder: Path) -> bool:
    """True for a whole folder; one that is there and damaged is named."""
    damage = _damage(folder)
    if damage is not None and folder.exists():
        say(f"{damage}: its folder is made again", error=True)
    return damage is None


def _damage(folder: Path) -> str | None:
    """The first difference between a folder and what was written; None if there is none."""
    if not (folder / DIGESTS).exists():
        return f"{folder / DIGESTS} is missing"
    try:
        expected, found = read_settings(folder / DIGESTS), _digests(folder)
    except (InputError, OSError) as error:
        return str(error)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            return f"{folder / name} is missing"
        if expected.get(name) != found[name]:
            return f"{folder / name} is damaged"
    return None


def _digests(folder: Path) -> dict[str, str]:
    digests = {}
    for path in sorted(folder.iterdir()):
        # File systems and desktops put hidden files anywhere.
        if path.name != DIGESTS and not path.name.startswith("."):
            with path.open("rb") as file:
                digests[path.name] = hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()
    return digests
