"""The STS benchmark: its own files, and those of GLUE."""

from collections.abc import Iterator
from pathlib import Path

from data.rows import Row, read_rows
from data.storage.lines import read_lines

_OWN = ("genre", "filename", "year", "old_index", "score", "sentence1", "sentence2")


def sts_rows(path: Path, split: str) -> Iterator[Row]:
    """Yields the rows of a file, with `sentence1`, `sentence2` and `score`.

    The benchmark's own files have seven columns with tabs between, whatever they are called, and no
    header; some rows name their sources behind them. GLUE's have a header that begins with `index`.
    """
    lines = read_lines(path)
    if next(lines, "").startswith("index\t"):
        yield from read_rows(path)
        return
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        cells = line.rstrip("\r\n").split("\t")
        names = f"{len(_OWN)}: {', '.join(_OWN)}"
        problem = f"has {len(cells)} columns instead of {names}" if len(cells) < len(_OWN) else ""
        named: dict[str, str] = dict(zip(_OWN, cells, strict=False))
        yield Row(f"{path}, line {number}", named, problem, number=number)
