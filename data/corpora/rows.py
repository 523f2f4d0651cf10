"""One column of text out of jsonl, csv and parquet, row by row in constant memory.

Each reader takes the open file, the column and the file's name for messages, and yields
(row number from 1, text); rows without text are left out.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import Any

from model.errors import InputError


def read_jsonl(stream: BufferedIOBase, field: str, name: str) -> Iterator[tuple[int, str]]:
    """JSON objects, one a line."""
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except json.JSONDecodeError as error:
            raise InputError(
                f"{name}, line {number}, is not JSON ({error.msg}): each line should be an object "
                f'like {{"{field}": "..."}}'
            ) from None
        if not isinstance(row, dict):
            raise InputError(f"{name}, line {number}, is not an object with a field {field!r}")
        require_field(row, field, f"{name}, line {number},")
        text = text_of(row[field], f"{name}, line {number}: {field!r}")
        if text:
            yield number, text


def read_csv(stream: BufferedIOBase, field: str, name: str) -> Iterator[tuple[int, str]]:
    """Comma-separated values with a header line."""
    csv.field_size_limit(sys.maxsize)  # the module's own limit is shorter than an article
    table = csv.DictReader(line.decode("utf-8-sig") for line in stream)
    try:
        require_field(table.fieldnames or (), field, name)
        for number, row in enumerate(table, 1):
            text = (row[field] or "").strip()
            if text:
                yield number, text
    except csv.Error as error:
        raise InputError(f"{name}, line {table.line_num}, is not CSV: {error}") from None


def read_parquet(stream: BufferedIOBase, field: str, name: str) -> Iterator[tuple[int, str]]:
    """A parquet file; its one column is all that is read."""
    import pyarrow  # here, because it takes a second that other text need not wait for
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(stream)
        require_field(table.schema_arrow.names, field, name)
        number = 0
        for batch in table.iter_batches(batch_size=1024, columns=[field]):
            for value in batch.column(0).to_pylist():
                number += 1
                text = text_of(value, f"{name}, row {number}: {field!r}")
                if text:
                    yield number, text
    except pyarrow.ArrowException as error:
        cause = str(error).partition("\n")[0]
        raise InputError(f"{name} is not a sound parquet file: {cause}") from None


def require_field(fields: Iterable[str], field: str, where: str) -> None:
    """InputError unless the field is one of the row's."""
    fields = list(fields)
    if field not in fields:
        raise InputError(
            f"{where} has no field {field!r} but {', '.join(map(repr, fields)) or 'none at all'}: "
            "name the one that holds the text with --data.text-field"
        )


def text_of(value: Any, where: str) -> str:
    """The text in a field, "" for null; InputError when it holds something else."""
    if value is not None and not isinstance(value, str):
        raise InputError(
            f"{where} is {type(value).__name__}, not text: name a field of text with "
            "--data.text-field"
        )
    return (value or "").strip()
