"""Sources of the rows of a task: a folder, the hub, or files of a user's own."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from data.corpora import hub
from data.rows import ROW_SUFFIXES, Row, table_suffix
from model.errors import InputError
from tasks.formats.aligned import AlignedLines
from tasks.formats.rows import Columns, Format
from tasks.formats.table import Table
from tasks.kind import Kind
from tasks.task import Task

Read = Callable[[], tuple[Iterator[Row], Columns]]


class Source(NamedTuple):
    """Rows of a task, by split."""

    name: str
    """The folder, the files, or the set on the hub with its commit."""
    published: Mapping[str, str]
    """All splits of such data, and in words where each would be found."""
    found: Mapping[str, Read]
    """The splits that are there: each opens its rows, with the meaning of their cells."""


def folder_source(task: Task, root: Path) -> Source:
    """The source of a set in its published format, below `root`."""
    files, columns = task.published, task.columns
    assert files and columns, task.name
    paths = {split: path for split in files.files if (path := files.find(root, split))}
    return Source(
        str(root),
        {split: files.looked_for(split) for split in files.files},
        {s: partial(_read, files.rows, columns, path, s) for s, path in paths.items()},
    )


def hub_source(task: Task) -> Source:
    """The source of a set on the hub. Numbered classes get their names, by the set's own list."""
    assert task.hub and task.columns, task.name
    commit, data = hub.load_splits(
        task.hub, streaming=False, instead="give the set's own files with --data.root"
    )
    name = f"{task.hub.partition('@')[0]}@{commit}"

    def read(split: str) -> tuple[Iterator[Row], Columns]:
        features = data[split].features
        rows = (
            Row(
                f"{name}, {split} row {number}",
                {cell: _named(value, features[cell]) for cell, value in row.items()},
            )
            for number, row in enumerate(data[split], 1)
        )
        return rows, columns

    columns, splits = task.columns, task.hub_splits
    return Source(
        name,
        {split: f"its split {theirs}" for split, theirs in splits.items()},
        {split: partial(read, theirs) for split, theirs in splits.items() if theirs in data},
    )


def own_files(kind: Kind, files: Mapping[str, Path], fields: Mapping[str, Any]) -> Source:
    """The source of a user's own files, by split; `fields` as in `Kind.columns`."""
    readers = {split: _reader(kind, file, fields) for split, file in files.items()}
    return Source(
        ", ".join(map(str, files.values())),
        {split: f"--data.{split}" for split in files},
        {s: partial(_read, *readers[s], file, s) for s, file in files.items()},
    )


def _read(rows: Format, columns: Columns, path: Path, split: str) -> tuple[Iterator[Row], Columns]:
    return rows(path, split), columns


def _named(value: Any, feature: Any) -> Any:
    """A class, or a list of them, by name; -1 is what test sets have for a kept-back one."""
    if hasattr(feature, "int2str"):
        return None if value in (None, -1) else feature.int2str(value)
    if isinstance(value, list) and hasattr(getattr(feature, "feature", None), "int2str"):
        return [_named(item, feature.feature) for item in value]
    return value


def _reader(kind: Kind, file: Path, fields: Mapping[str, Any]) -> tuple[Format, Columns]:
    """The format of a file and the meaning of its cells, by its kind of task and by its name."""
    if not file.is_file():
        if pair := fields.get("pair_field"):
            aligned = AlignedLines((fields["text_field"], pair))
            aligned.files(file)
            return aligned, kind.columns(fields)
        raise InputError(f"{file} does not exist, or is a folder: name a file")
    formats = {**dict.fromkeys(ROW_SUFFIXES, (Table(), kind.columns(fields))), **kind.formats}
    found = formats.get(table_suffix(file), formats.get("*"))
    if found is None:
        two = ""
        if pair := fields.get("pair_field"):
            ends = f".{fields['text_field']} and .{pair}"
            two = f", or be what the names of two files have before {ends}"
        raise InputError(
            f"{file}: the name should end in {', '.join(formats)}, or one of these and .gz{two}"
        )
    return found
