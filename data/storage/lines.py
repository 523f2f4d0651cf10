"""Text files, plain or packed with gzip, line by line."""

import gzip
import shlex
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from model.errors import InputError

LARGEST_GUESS = 1 << 26
"""The most bytes that are read to guess an encoding."""
UTF16_MARKS = (BOM_UTF16_LE, BOM_UTF16_BE)


@contextmanager
def opened(file: Path) -> Iterator[BufferedIOBase]:
    """The file's bytes, unpacked if its name ends in .gz.

    Raises:
        InputError: it cannot be opened or read, or is cut short.
    """
    try:
        with gzip.open(file) if _is_packed(file) else file.open("rb") as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file} cannot be read: {reason}") from None


def conversion(file: Path) -> str:
    """Advice with the command that makes UTF-8 of a file which is something else."""
    with opened(file) as stream:
        content = stream.read(LARGEST_GUESS)
    guess, encoding = ", if it is of Western Europe", "WINDOWS-1252"
    if content.startswith(UTF16_MARKS):
        guess, encoding = "", "UTF-16"
    else:
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            encoding = "ISO-8859-1"  # every byte is a character there
    old, new = shlex.quote(str(file)), shlex.quote(f"{file}.utf-8")
    convert = f"iconv -f {encoding} -t UTF-8"
    through = f"zcat {old} | {convert} | gzip" if _is_packed(file) else f"{convert} {old}"
    return f"convert it{guess}: {through} > {new} && mv {new} {old}"


def read_lines(file: Path) -> Iterator[str]:
    r"""The file's lines with their ends; only "\n" ends a line, as texts hold other line breaks.

    Raises:
        InputError: the file cannot be read or is not UTF-8.
    """
    return (line for _, line in placed_lines(file))


def placed_lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines of `read_lines`, each after the byte of the unpacked file where it begins.

    Raises:
        InputError: as `read_lines`.
    """
    offset = 0
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                # Files put together may have a mark in the middle.
                yield offset, line.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{file}, line {number}, is not UTF-8 text (byte {error.start + 1}): "
                    f"{conversion(file)}"
                ) from None
            offset += len(line)


def _is_packed(file: Path) -> bool:
    return file.suffix.lower() == ".gz"
