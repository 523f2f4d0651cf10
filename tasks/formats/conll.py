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


def conll_rows(path: Path, split: str) -> Iterator[Row]:
    """A format (see `tasks.formats.rows`): sentences, with `words` and, of two columns up, `tags`.

    Columns are separated by tabs, or else by spaces. Lines of -DOCSTART- are passed over.

    Raises:
        InputError: a line has another number of columns than the first.
    """
    sentence: list[tuple[int, list[str]]] = []
    width = 0
    for number, line in enumerate(chain(read_lines(path), [""]), 1):
        if line.strip():
            cells = _cells(line.rstrip("\r\n"))
            width = width or len(cells)
            if len(cells) != width:
                raise InputError(
                    f"{path}, line {number}, has {len(cells)} columns, and the first line {width}"
                )
            if cells[0] != "-DOCSTART-":
                sentence.append((number, cells))
        elif sentence:
            places = [f"{path}, line {number}" for number, _ in sentence]
            columns: dict[str, Any] = {"words": [cells[0] for _, cells in sentence]}
            if width > 1:
                columns["tags"] = [cells[-1] for _, cells in sentence]
            yield Row(places[0], columns, word_places=places)
            sentence = []


def _cells(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else [cell for cell in line.split(" ") if cell]
