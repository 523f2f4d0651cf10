"""Texts in two files, line by line: the form of most sets of texts and their translations."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from data.rows import Row
from data.storage.lines import read_lines
from model.errors import InputError


@dataclass(frozen=True)
class AlignedLines:
    """A format (see `tasks.formats.rows`): each line belongs to the same line of another file.

    The path is the common beginning of the files' names, so with the names ("en", "de") `train` is
    for `train.en` and `train.de`. Each of them may also end in .gz.
    """

    names: tuple[str, str]
    """The ends of the files' names, which are also those of the cells."""

    def files(self, path: Path) -> tuple[Path, Path]:
        """The two files of a path.

        Raises:
            InputError: one of them is not there, or none.
        """
        first, second = (Path(f"{path}.{name}") for name in self.names)
        found = [
            next((f for f in (file, Path(f"{file}.gz")) if f.is_file()), None)
            for file in (first, second)
        ]
        if found[0] and found[1]:
            return found[0], found[1]
        if not any(found):
            raise InputError(
                f"{path} does not exist, or is a folder: name a file, or what the names of two "
                f"have before {first.suffix} and {second.suffix}"
            )
        there, missing = (found[0], second) if found[0] else (found[1], first)
        raise InputError(
            f"{missing} does not exist, with .gz or without: it should have a line for each of "
            f"{there}"
        )

    def beside(self, file: Path, split: str) -> Iterator[Row]:
        """The rows of the first of two files and of the other, which lies beside it."""
        return self(file.with_name(file.name.removesuffix(".gz")).with_suffix(""), split)

    def __call__(self, path: Path, split: str) -> Iterator[Row]:
        """Yields a row for each line; lines that are blank in both files are passed over.

        Raises:
            InputError: a file is not there, or has more lines than the other; a line that is blank
                in one of them is a row with a `problem`.
        """
        files = self.files(path)
        pairs = zip_longest(*map(read_lines, files))
        for number, lines in enumerate(pairs, 1):
            if None in lines:
                rest = 1 + sum(1 for _ in pairs)
                first, second = (number - 1 + (line is not None) * rest for line in lines)
                raise InputError(
                    f"{files[0]} has {first:,} lines and {files[1]} {second:,}: each line should "
                    "belong to the same line of the other file"
                )
            texts = [line.rstrip("\r\n") for line in lines]
            there = [bool(text.strip()) for text in texts]
            if all(there):
                cells = dict(zip(self.names, texts, strict=True))
                yield Row(f"{files[0]}, line {number}", cells, number=number)
            elif any(there):
                empty, whole = files if there[1] else files[::-1]
                problem = f"is empty, and this line of {whole} is not"
                yield Row(f"{empty}, line {number}", {}, problem, number=number)
