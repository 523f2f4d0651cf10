"""Text files, plain or packed with gzip, line by line."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from model.errors import InputError


@contextmanager
def opened(file: Path) -> Iterator[BufferedIOBase]:
    """The file's bytes, unpacked if its name ends in .gz.

    Raises:
        InputError: it cannot be opened or read, or is cut short.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file} cannot be read: {reason}") from None


def read_lines(file: Path) -> Iterator[str]:
    r"""The file's lines with their ends; only "\n" ends a line, as texts hold other line breaks.

    Raises:
        InputError: the file cannot be read or is not UTF-8.
    """
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield line.decode("utf-8-sig")  # files put together may have a mark in the middle
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{file}, line {number}, is not UTF-8 text (byte {error.start + 1}): convert "
                    "the file (iconv -t UTF-8)"
                ) from None
