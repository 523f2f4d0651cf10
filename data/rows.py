"""Rows of csv, tsv, jsonl, json and parquet files, each also packed with gzip.

Corpora take one column of text of them, tasks their examples. They are read in constant memory, but
for an array in a json file.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.storage.lines import opened, placed_lines, read_lines
from model.errors import InputError
from model.typed import parse_json

ROW_SUFFIXES = (".tsv", ".csv", ".jsonl", ".json", ".parquet")


class Row(NamedTuple):
    """The cells of one example or text."""

    place: str
    """The file and line, or whatever else finds it, for messages."""
    cells: Mapping[str, Any]
    problem: str = ""
    """A fault of the row as a row, such as a missing cell."""
    word_places: Sequence[str] = ()
    """Where each word is, if words have lines of their own."""
    number: int = 0
    """Of the line in tsv and jsonl, of the row in csv, json and parquet, from 1."""
    offset: int = 0
    """Of the line in jsonl, in bytes of the unpacked file: `read_objects_at` finds it again."""


def table_suffix(file: Path) -> str:
    """The suffix of the name, that of .gz apart, in small letters."""
    return Path(file.name.lower().removesuffix(".gz")).suffix


def read_rows(
    file: Path, *, header: Sequence[str] | None = None, only: str | None = None
) -> Iterator[Row]:
    """The rows of a file whose name ends in one of `ROW_SUFFIXES`; blank lines are passed over.

    In tsv nothing is quoted: a quotation mark is text. The cells of a csv file are separated by
    commas, or by semicolons, tabs or bars if its first line has those instead. A json file is an
    array of objects, or has an object a line as jsonl has.

    Args:
        file: whose first line, in csv and tsv, has the names of the cells.
        header: these names, if the file has no line with them.
        only: the one column that is needed: of parquet no other is read, if the file has it.

    Raises:
        InputError: the file is not what its name says; a row with too few or too many cells is one
            with a `problem`.
    """
    suffix = table_suffix(file)
    if suffix == ".parquet":
        return _parquet(file, only)
    if suffix == ".json" and _first_line(file).lstrip().startswith("["):
        return _array(file)
    if suffix in (".jsonl", ".json"):
        return _objects(file)
    return _named(file, _csv(file, header) if suffix == ".csv" else _tsv(file), header)


def require_cell(row: Row, names: Sequence[str], flag: str = "") -> str:
    """The first of the names that the row has a cell under; `flag` would give another name.

    Raises:
        InputError: it has none of them.
    """
    for name in names:
        if name in row.cells:
            return name
    there = ", ".join(map(repr, row.cells)) or "nothing at all"
    remedy = f": name the right one with {flag}" if flag else ""
    raise InputError(f"{row.place}, has no {' or '.join(map(repr, names))} but {there}{remedy}")


def cell_text(row: Row, names: Sequence[str], flag: str = "") -> str:
    """The text under the first of the names that the row has, "" for null.

    Raises:
        InputError: it has none of them, or something else than text there.
    """
    name = require_cell(row, names, flag)
    value = row.cells[name]
    if value is not None and not isinstance(value, str):
        remedy = f": name a column of text with {flag}" if flag else ""
        raise InputError(f"{row.place}: {name!r} is {type(value).__name__}, not text{remedy}")
    return value or ""


def _named(
    file: Path, lines: Iterator[tuple[int, int, list[str]]], header: Sequence[str] | None
) -> Iterator[Row]:
    """Rows of cells by name, from (line, number, cells)."""
    for line, number, cells in lines:
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
        yield Row(f"{file}, line {line}", named, problem, number=number)


def _first_line(file: Path) -> str:
    """The first that is not blank."""
    return next((line for line in read_lines(file) if line.strip()), "")


def _tsv(file: Path) -> Iterator[tuple[int, int, list[str]]]:
    for number, line in enumerate(read_lines(file), 1):
        if line.strip():
            yield number, number, line.rstrip("\r\n").split("\t")


def _csv(file: Path, header: Sequence[str] | None) -> Iterator[tuple[int, int, list[str]]]:
    """With the line where a row begins, as quoted text may have several, and the row's number."""
    csv.field_size_limit(sys.maxsize)  # the module's own limit is shorter than a document
    first = _first_line(file) if header is None else ""
    names = re.sub('"[^"]*"', "", first)
    separator = next((mark for mark in ",;\t|" if mark in names), ",")
    table = csv.reader(read_lines(file), strict=True, delimiter=separator)
    line, number = 1, 0
    try:
        for cells in table:
            if cells:
                yield line, number, cells  # the header is row 0
                number += 1
            line = table.line_num + 1
    except csv.Error as error:
        raise InputError(f"{file}, line {line}, is not CSV: {error}") from None


def _objects(file: Path) -> Iterator[Row]:
    for number, (offset, line) in enumerate(placed_lines(file), 1):
        if line.strip():
            place = f"{file}, line {number}"
            yield Row(place, _object(line, place), number=number, offset=offset)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        cells = parse_json(line)
    except ValueError as error:
        reason = getattr(error, "msg", error)
        raise InputError(
            f'{place}, is not JSON ({reason}): each line should be an object like {{"text": "..."}}'
        ) from None
    if not isinstance(cells, dict):
        raise InputError(f"{place}, is not a JSON object with named values")
    return cells


def _array(file: Path) -> Iterator[Row]:
    try:
        rows = parse_json("".join(read_lines(file)))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{file} is not JSON, or cut short: {error}") from None
    for number, cells in enumerate(rows, 1):
        place = f"{file}, row {number}"
        if not isinstance(cells, dict):
            raise InputError(f"{place}, is not a JSON object with named values")
        yield Row(place, cells, number=number)


def read_objects_at(file: Path, offsets: Iterable[int]) -> Iterator[Row]:
    """The rows of a jsonl file that begin at these bytes, without reading others.

    They should rise: a packed file is unpacked up to the last of them, and again to go back.

    Raises:
        InputError: the file cannot be read, or has changed.
    """
    with opened(file) as stream:
        for offset in offsets:
            stream.seek(offset)
            place = f"{file}, byte {offset}"
            line = stream.readline().decode("utf-8-sig", "replace")
            yield Row(place, _object(line, place), offset=offset)


def _parquet(file: Path, only: str | None) -> Iterator[Row]:
    import pyarrow  # here, because it takes a second that other text need not wait for
    import pyarrow.parquet

    number = 0
    with opened(file) as stream:
        try:
            table = pyarrow.parquet.ParquetFile(stream)
            columns = [only] if only in table.schema_arrow.names else None
            for batch in table.iter_batches(batch_size=1024, columns=columns):
                for cells in batch.to_pylist():
                    number += 1
                    yield Row(f"{file}, row {number}", cells, number=number)
        except pyarrow.ArrowException as error:
            cause = str(error).partition("\n")[0]
            raise InputError(f"{file} is not a sound parquet file: {cause}") from None
