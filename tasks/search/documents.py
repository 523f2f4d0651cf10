"""Documents to search in: checked once, and from then on found by their row.

A document is its title and text with a space between, as BEIR has it (Thakur et al. 2021). What is
kept of a corpus is small: ids, and where each document begins.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xxhash

from data.rows import Row, cell_text, read_objects_at, read_rows, table_suffix
from data.storage.cache import make_once
from model.errors import InputError
from model.terminal import say

FORMAT_OF_DOCUMENTS = 1  # with a new number older entries of the cache are unused


@runtime_checkable
class RowSource(Protocol):
    """Rows that can be read again, all or some."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Of the content."""
        ...

    def rows(self) -> Iterator[Row]:
        """All; the `offset` of each finds it again."""
        ...

    def at(self, offsets: Iterable[int]) -> Iterator[Row]:
        """The rows at these offsets, which rise."""
        ...


@dataclass(frozen=True)
class JsonlFile:
    """Rows of a jsonl file, also packed."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def fingerprint(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()

    def rows(self) -> Iterator[Row]:
        return read_rows(self.path)

    def at(self, offsets: Iterable[int]) -> Iterator[Row]:
        return read_objects_at(self.path, offsets)


@dataclass(frozen=True)
class HubSplit:
    """Rows of a split of a set on the hub, at one commit."""

    name: str
    """With the commit."""
    data: Sequence[dict[str, Any]]

    @property
    def fingerprint(self) -> str:
        return self.name

    def rows(self) -> Iterator[Row]:
        return self.at(range(len(self.data)))

    def at(self, offsets: Iterable[int]) -> Iterator[Row]:
        for n in offsets:
            yield Row(f"{self.name}, row {n + 1}", self.data[int(n)], number=n + 1, offset=n)


@dataclass(frozen=True)
class DocumentStore:
    """Documents with a text, in the order of their rows."""

    source: RowSource
    fingerprint: str
    """Hexadecimal; of the content."""
    ids: tuple[str, ...]
    offsets: np.ndarray
    """int64 [documents], rising."""
    empty: tuple[str, ...]
    """Ids of the documents without a text, which have no row."""

    @property
    def name(self) -> str:
        return self.source.name

    def __len__(self) -> int:
        return len(self.ids)

    def texts(self, rows: Sequence[int] | None = None) -> Iterator[str]:
        """The texts of these documents, whose rows rise; by default of all, read one by one."""
        offsets = self.offsets if rows is None else self.offsets[np.array(rows, np.int64)]
        return (_text(row) for row in self.source.at(offsets.tolist()))


def open_documents(source: RowSource, cache: Path) -> DocumentStore:
    """The documents of rows with `_id` (or `id`), `title` and `text`; ids and titles may be absent.

    They are checked when they are first read; the cache keeps where each begins. Documents without
    any text are left out, which a sentence counts: nothing can find them.

    Raises:
        InputError: two documents have the same id, a row is damaged or has no `text`, none has any,
            or the cache cannot be written.
    """
    digest = hashlib.sha256(f"{FORMAT_OF_DOCUMENTS} {source.fingerprint}".encode()).hexdigest()

    def make(folder: Path) -> None:
        ids, offsets, empty = _read(source)
        np.save(folder / "offsets.npy", np.array(offsets, np.int64))
        (folder / "ids.json").write_text(json.dumps({"ids": ids, "empty": empty}), "utf-8")

    folder = make_once(cache / "documents" / digest[:24], make, flag="--cache")
    kept = json.loads((folder / "ids.json").read_text("utf-8"))
    if empty := kept["empty"]:
        others = f" (so are {len(empty) - 1:,} more)" if len(empty) > 1 else ""
        say(f"{empty[0][1]}: the document has no text, and cannot be found{others}", error=True)
    offsets = np.load(folder / "offsets.npy")
    return DocumentStore(
        source, digest, tuple(kept["ids"]), offsets, tuple(name for name, _ in empty)
    )


def open_jsonl(path: Path) -> JsonlFile:
    """A user's file of documents or queries.

    Raises:
        InputError: it does not exist, or is no jsonl.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist, or is a folder: name a file")
    if table_suffix(path) != ".jsonl":
        raise InputError(
            f"{path}: the name should end in .jsonl or .jsonl.gz; each line is an object like "
            '{"_id": "7", "title": "...", "text": "..."}'
        )
    return JsonlFile(path)


def row_id(row: Row) -> str:
    """The id in a row: its `_id` or `id`, or else its number.

    Raises:
        InputError: that is neither a text nor a whole number.
    """
    value = row.cells.get("_id", row.cells.get("id", row.number))
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"{row.place}: the id is {value!r:.60}, and must be a text or an integer")
    return str(value)


def by_id(source: RowSource) -> Iterator[tuple[str, Row]]:
    """The rows of a source, each after its id.

    Raises:
        InputError: a row is damaged, or two rows have the same id.
    """
    seen: dict[str, str] = {}
    for row in source.rows():
        name = row_id(row)
        if name in seen:
            raise InputError(f"{row.place}: the id {name!r} is that of {seen[name]}, too")
        seen[name] = row.place.rpartition(", ")[2]
        yield name, row


def _read(source: RowSource) -> tuple[list[str], list[int], list[tuple[str, str]]]:
    """Ids and offsets of the documents with a text, and ids and places of those without."""
    ids, offsets, empty = [], [], []
    for name, row in by_id(source):
        if _text(row):
            ids.append(name)
            offsets.append(row.offset)
        else:
            empty.append((name, row.place))
    if not ids:
        raise InputError(f"{source.name} has no document with a text: give at least one")
    return ids, offsets, empty


def _text(row: Row) -> str:
    title = cell_text(row, ("title",)) if "title" in row.cells else ""
    return f"{title} {cell_text(row, ('text',))}".strip()
