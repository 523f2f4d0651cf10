"""Tables on the terminal."""

import io

from rich.console import Console

from report.tables import terminal_table
from tests.hostile import HOSTILE


def test_names_in_a_table_are_shown_and_not_obeyed():
    printed = io.StringIO()
    console = Console(file=printed, width=1000, force_terminal=True, color_system=None)
    console.print(terminal_table(HOSTILE, ["", "[b]two[/b]\nlines"], [[HOSTILE, "[red]1[/red]"]]))
    lines = printed.getvalue().split("\n")
    assert all(line.isprintable() for line in lines)
    text = " ".join(line.strip() for line in lines)
    for name in ("[b]two[/b]", "[red]1[/red]", "[red]r[/red]", "\\u001b]0;title\\u0007"):
        assert name in text
