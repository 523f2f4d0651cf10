"""The origin of a run: the code, the libraries and the machine, as plain JSON."""

import dataclasses
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data.storage.atomic import write_text
from data.storage.credentials import without_credentials

LIBRARIES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tokenizers",
    "datasets",
    "numpy",
)


def provenance() -> dict[str, Any]:
    """All that is needed to run this again: commit, versions, platform, devices, command.

    The name of the machine is left out, as run folders are passed on.
    """
    device = jax.devices()[0]
    return {
        "command": command_line(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(Path(__file__).parent),
        "versions": {"python": platform.python_version()} | versions(LIBRARIES),
        "platform": platform.platform(),
        "cpu_cores": os.cpu_count(),
        "devices": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "hosts": jax.process_count(),
        },
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed: measuring speed does not need all."""
    found = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def command_line() -> str | None:
    """The command line without credentials; None in a notebook, which nobody starts by hand."""
    arguments = sys.orig_argv[1:]
    command = shlex.join(["python", *arguments])
    return None if "ipykernel_launcher" in arguments else without_credentials(command)


def git_state(folder: Path) -> dict[str, Any]:
    """The commit checked out in `folder`, and whether tracked files differ from it.

    Both are None where git does not track the folder: without git, in an unpacked archive, or in
    an installed package that lies in the virtual environment of somebody else's repository.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        tracked = git("ls-files", "--", ".")
        commit = git("rev-parse", "HEAD") if tracked else None
        dirty = bool(git("status", "--porcelain", "--untracked-files=no")) if tracked else None
    except (OSError, subprocess.CalledProcessError):
        commit, dirty = None, None
    return {"commit": commit, "dirty": dirty}


def to_jsonable(value: Any) -> Any:
    """Nested dataclasses in the form that `json` reads back: dicts, lists, strings, numbers, None.

    Paths become strings, tuples lists, dtypes their names, and credentials `***`.

    Raises:
        TypeError: the value holds something else.
    """

    def convert(item: Any) -> Any:
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
        if isinstance(item, Mapping):
            return dict(item)
        return str(item) if isinstance(item, Path) else np.dtype(item).name

    return json.loads(without_credentials(json.dumps(value, default=convert)))


def changed_fields(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    ignore: Container[str] = frozenset(),
    prefix: str = "",
) -> list[str]:
    """The dotted names, sorted, of the fields that differ between two configurations.

    A name in `ignore` also covers everything below it: "provenance" hides "provenance.git.commit".
    `prefix` stands before all names: "data.".
    """
    changed = []
    for name in sorted(old.keys() | new.keys()):
        dotted, before, now = prefix + name, old.get(name), new.get(name)
        if dotted in ignore:
            continue
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            changed += changed_fields(before, now, ignore, f"{dotted}.")
        elif name not in old or name not in new or before != now:
            changed.append(dotted)
    return changed


def write_json_atomic(path: Path, value: Any) -> None:
    """Writes indented JSON so that `path` holds the old text or the new one, never a part.

    Raises:
        InputError: the disk refuses (it is full or read-only, there is no such folder).
    """
    write_text(path, json.dumps(to_jsonable(value), indent=2, ensure_ascii=False) + "\n")
