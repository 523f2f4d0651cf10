"""Words with tags: the column format of the CoNLL shared tasks (Tjong Kim Sang & De Meulder 2003).

A word a line, its tag in the last column, a blank line after each sentence.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from data.rows import Row
from data.storage.lines import read_lines
from model.errors import InputError

COMMENT = "# "


def conll_rows(path: Path, split: str) -> Iterator[Row]:
    """A format (see `tasks.formats.rows`): sentences, with `words` and, of two columns up, `tags`.

    Columns are separated by tabs, or else by spaces. A line of -DOCSTART- ends a sentence, whatever
    else is in it. Comments are passed over: lines that begin with "# " and have other columns than
    words have.

    Raises:
        InputError: a line has another number of columns than the first word's.
    """
    sentence: list[tuple[int, list[str]]] = []
    first = _first_word(path)
    width = len(_cells(first))
    for number, line in enumerate(chain(read_lines(path), [""]), 1):
        if line.strip() and not _begins_document(line):
            cells = _cells(line)
            alike = len(cells) == width and ("\t" in line) == ("\t" in first)
            if line.startswith(COMMENT) and not alike:
                continue
            if len(cells) != width:
                raise InputError(
                    f"{path}, line {number}, has {len(cells)} columns, and the first word {width}"
                )
            sentence.append((number, cells))
        elif sentence:
            places = [f"{path}, line {number}" for number, _ in sentence]
            columns: dict[str, Any] = {"words": [cells[0] for _, cells in sentence]}
            if width > 1:
                columns["tags"] = [cells[-1] for _, cells in sentence]
            yield Row(places[0], columns, word_places=places)
            sentence = []


def _first_word(path: Path) -> str:
    """The first line that is surely one of a word; if there is none, the first that may be."""
    lines = (line for line in read_lines(path) if line.strip() and not _begins_document(line))
    first = next(lines, "")
    return next((line for line in chain([first], lines) if not line.startswith(COMMENT)), first)


def _begins_document(line: str) -> bool:
    return _cells(line)[:1] == ["-DOCSTART-"]


def _cells(line: str) -> list[str]:
    line = line.rstrip("\r\n")
    return line.split("\t") if "\t" in line else [cell for cell in line.split(" ") if cell]
