"""Sources of the rows of a task: a folder, the hub, or files of a user's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.corpora import hub
from data.rows import SUFFIXES, Row, table_suffix
from model.errors import InputError
from tasks.formats.published import PublishedFiles
from tasks.formats.rows import Columns, Format
from tasks.formats.table import Table
from tasks.kind import Kind
from tasks.task import Task

# Each source has: a `name`, of the folder, the files, or the set on the hub with its commit;
# `published`, the splits that such data have, and `found`, those that are there;
# `looked_for(split)`, what a published split would be read from; `read(split)`, the rows of a split
# that is there, and what their cells mean.


class Folder:
    """A set in its published format, below `root`."""

    def __init__(self, files: PublishedFiles, columns: Columns, root: Path):
        self.name = str(root)
        self.published = tuple(files.files)
        self._files, self._columns = files, columns
        self._paths = {split: path for split in files.files if (path := files.find(root, split))}
        self.found = tuple(self._paths)

    def looked_for(self, split: str) -> str:
        return self._files.looked_for(split)

    def read(self, split: str) -> tuple[Iterator[Row], Columns]:
        return self._files.rows(self._paths[split], split), self._columns


class Hub:
    """A set on the hub. Its numbered classes are turned into their names, by its own list."""

    def __init__(self, task: Task):
        assert task.hub and task.columns, task.name
        commit, self._data = hub.load_splits(
            task.hub, streaming=False, instead="give the set's own files with --data.root"
        )
        self.name = f"{task.hub.partition('@')[0]}@{commit}"
        self.published = tuple(task.hub_splits)
        self.found = tuple(s for s, theirs in task.hub_splits.items() if theirs in self._data)
        self._splits, self._columns = task.hub_splits, task.columns

    def looked_for(self, split: str) -> str:
        return f"its split {self._splits[split]}"

    def read(self, split: str) -> tuple[Iterator[Row], Columns]:
        return self._rows(self._splits[split]), self._columns

    def _rows(self, split: str) -> Iterator[Row]:
        data = self._data[split]
        for number, row in enumerate(data, 1):
            cells = {name: _named(value, data.features[name]) for name, value in row.items()}
            yield Row(f"{self.name}, {split} row {number}", cells)


def _named(value: Any, feature: Any) -> Any:
    """A class, or a list of them, by name; -1 is what test sets have for a kept-back one."""
    if hasattr(feature, "int2str"):
        return None if value in (None, -1) else feature.int2str(value)
    if isinstance(value, list) and hasattr(getattr(feature, "feature", None), "int2str"):
        return [_named(item, feature.feature) for item in value]
    return value


class OwnFiles:
    """Files of a user's own, by split."""

    def __init__(self, kind: Kind, files: dict[str, Path], fields: dict[str, Any]):
        self.name = ", ".join(str(file) for file in files.values())
        self.published = self.found = tuple(files)
        self._readers = {split: _reader(kind, file, fields) for split, file in files.items()}
        self._files = files

    def looked_for(self, split: str) -> str:
        return f"--data.{split}"

    def read(self, split: str) -> tuple[Iterator[Row], Columns]:
        rows, columns = self._readers[split]
        return rows(self._files[split], split), columns


Source = Folder | Hub | OwnFiles


def _reader(kind: Kind, file: Path, fields: dict[str, Any]) -> tuple[Format, Columns]:
    """The format of a file and what its cells mean, by its kind of task and by its name."""
    if not file.is_file():
        raise InputError(f"{file} does not exist, or is a folder: name a file")
    formats = {**dict.fromkeys(SUFFIXES, (Table(), kind.columns(fields))), **kind.formats}
    found = formats.get(table_suffix(file), formats.get("*"))
    if found is None:
        raise InputError(
            f"{file}: the name should end in {', '.join(formats)}, or one of these and .gz"
        )
    return found
