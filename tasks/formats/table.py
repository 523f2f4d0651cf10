"""Tables of task data: tab-separated, comma-separated, or JSON objects, each also .gz."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.storage.lines import read_lines
from model.errors import InputError
from tasks.formats.rows import Row

SUFFIXES = (".tsv", ".csv", ".jsonl")


@dataclass(frozen=True)
class Table:
    """A format (see `tasks.formats.rows`) whose rows have named cells; blank lines are passed over.

    In tsv nothing is quoted: a quotation mark is text. The first line has the names.
    """

    header: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names, by split, where the tsv or csv file has no line with them."""
    joined: Sequence[str] = ()
    """Cells that together are the `text`, with spaces between them."""

    def __call__(self, path: Path, split: str) -> Iterator[Row]:
        """Yields the rows of a file.

        Raises:
            InputError: the file is not what its name says; a row with too few or too many cells
                is one with a `problem`.
        """
        suffix = table_suffix(path)
        if suffix == ".jsonl":
            rows = _objects(path)
        else:
            lines = _csv(path) if suffix == ".csv" else _tsv(path)
            rows = _named(path, lines, self.header.get(split))
        for row in rows:
            if self.joined and not row.problem:
                text = " ".join(row.cells[name] for name in self.joined)
                row = row._replace(cells={**row.cells, "text": text})
            yield row


def table_suffix(file: Path) -> str:
    """The suffix of the name, that of .gz apart."""
    return Path(file.name.removesuffix(".gz")).suffix


def _named(
    file: Path, lines: Iterator[tuple[int, list[str]]], header: Sequence[str] | None
) -> Iterator[Row]:
    """Rows of cells by name."""
    for number, cells in lines:
        if header is None:
            header = cells
            if len(set(header)) < len(header):
                raise InputError(f"{file}: two columns have the same name: {', '.join(header)}")
            continue
        problem = ""
        if len(cells) != len(header):
            columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
            problem = f"has {columns} instead of {len(header)}: {', '.join(header)}"
        named = dict(zip(header, cells, strict=False))
        yield Row(f"{file}, line {number}", named, problem)


def _tsv(file: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(file), 1):
        if line.strip():
            yield number, line.rstrip("\r\n").split("\t")


def _csv(file: Path) -> Iterator[tuple[int, list[str]]]:
    """With the number of the line where a row begins: quoted text may have several lines."""
    csv.field_size_limit(sys.maxsize)  # the module's own limit is shorter than a document
    table = csv.reader(read_lines(file), strict=True)
    number = 1
    try:
        for cells in table:
            if cells:
                yield number, cells
            number = table.line_num + 1
    except csv.Error as error:
        raise InputError(f"{file}, line {number}, is not CSV: {error}") from None


def _objects(file: Path) -> Iterator[Row]:
    for number, line in enumerate(read_lines(file), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{file}, line {number}, is not JSON ({error.msg})") from None
        if not isinstance(cells, dict):
            raise InputError(f"{file}, line {number}, is not a JSON object with named values")
        yield Row(f"{file}, line {number}", cells)
