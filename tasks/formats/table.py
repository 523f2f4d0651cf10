"""Tables of task data: tab-separated, comma-separated, JSON objects, or parquet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.rows import Row, read_rows, require_cell


@dataclass(frozen=True)
class Table:
    """A format (see `tasks.formats.rows`) whose rows have named cells."""

    header: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names, by split, where the tsv or csv file has no line with them."""
    joined: Sequence[str] = ()
    """Cells that together are the `text`, with spaces between them."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Values of cells; rows with others are passed over."""

    def __call__(self, path: Path, split: str) -> Iterator[Row]:
        """Yields the rows of a file.

        Raises:
            InputError: as `data.rows.read_rows`.
        """
        for row in read_rows(path, header=self.header.get(split)):
            if any(row.cells[require_cell(row, (n,))] != value for n, value in self.only.items()):
                continue
            if self.joined and not row.problem:
                text = " ".join(row.cells[name] for name in self.joined)
                row = row._replace(cells={**row.cells, "text": text})
            yield row
