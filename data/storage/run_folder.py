"""The files of a run folder that others read: its configuration and metrics."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from model.errors import InputError
from model.hf.config import read_settings

CONFIG = "config.json"


def read_run_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a run folder.

    Raises:
        InputError: there is none, or it is not JSON.
    """
    if not (folder / CONFIG).exists():
        raise InputError(f"{folder} is no run folder: it has no {CONFIG}")
    return read_settings(folder / CONFIG)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows of `folder`/metrics.jsonl, in order; a torn last line (after a kill) is left out.

    Raises:
        InputError: there is no such file, or a whole line of it is not JSON.
    """
    path = folder / "metrics.jsonl"
    if not path.is_file():
        raise InputError(f"{folder} is no run folder: it has no metrics.jsonl")
    return [row for row, _ in json_rows(path)]


def without_compilation(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The updates among `rows` that compiled nothing; where all did, all of them."""
    train = [row for row in rows if row["kind"] == "train"]
    return [row for row in train if "compiles" not in row] or train


def json_rows(path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each row of a file of JSON lines with its very bytes; a torn last line is left out.

    Raises:
        InputError: a whole line is not JSON.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line), line
            except ValueError as error:
                raise InputError(f"{path}, line {number} is not JSON: {line[:40]!r}") from error
