"""Tables of text, for the terminal and in Markdown, and words listed as people do it."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from model.terminal import visible


def terminal_table(
    title: str, header: Sequence[str], lines: Sequence[Sequence[str]], *, compact: bool = False
) -> Table:
    """Columns flush right, but for one without a heading; `compact` spares the space between."""
    padding = (0, 1, 0, 0) if compact else (0, 1)
    # A narrow table is widened, so that its title stays in one line.
    table = Table(title=_shown(title), box=box.SIMPLE_HEAD, padding=padding, min_width=len(title))
    for text in header:
        table.add_column(_shown(text), justify="right" if text else "left")
    for line in lines:
        table.add_row(*map(_shown, line))
    return table


def _shown(text: str) -> Text:
    """A text as it is, without the styles that rich finds in brackets; its lines stay lines."""
    return Text("\n".join(map(visible, text.split("\n"))))


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A table of cells in Markdown, whose first `left` columns are flush left."""
    rule = [*["---"] * left, *["---:"] * (len(header) - left)]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in [header, rule, *lines]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def listed(phrases: Sequence[str]) -> str:
    """Phrases as people enumerate them: "a, b and c"."""
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)


def duration(seconds: float) -> str:
    """A length of time as people say it: "42 s", "7 min", "3 h 05 min"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
