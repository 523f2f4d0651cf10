"""Runs side by side: their metrics, their curves over each other, and the settings that differ.

    python -m eval.compare runs/distill-tiny runs/another-run
    python -m eval.compare runs/paper-table-4 --output comparison

RUN is the folder of a run of train.pretrain, train.distill or train.finetune, or of a study of
train.ablate, whose variants are then shown. All must be of one kind. Writes comparison.md,
comparison.csv (a row a run), comparison.png, and comparison.html, which has all of it in one file
and needs no server.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from data.storage.atomic import check_folder, make_folder, write_text
from eval.compare.sides import Side, read_sides
from eval.compare.tables import Cells, as_csv, compared_metrics, differing_settings
from model.ranges import check_settings
from model.terminal import say
from report.markdown import escaped, text_table
from report.naming import FLOORS, by_name, is_share, label
from report.page import page, png_in_html, table_in_html, text_in_html
from report.panel import Panel
from report.tables import terminal_table

TITLE = "Comparison"
NOT_DRAWN = ("exp_masked_lm_loss", "perplexity")


@dataclass(frozen=True)
class CompareConfig:
    """Compare runs or studies."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folders of runs, or of studies."""
    output: Path = Path("comparison")
    """The folder of comparison.md, .csv, .png and .html."""


def compare_runs(config: CompareConfig) -> list[Side]:
    """Prints and writes the comparison.

    Raises:
        InputError: what `read_sides` raises, or the disk refuses.
    """
    check_settings(config)
    check_folder(config.output)
    sides = read_sides(config.runs)
    tables = [compared_metrics(sides), differing_settings(sides)]
    remarks = _remarks(sides, tables[1])
    # In a file or pipe rich would fold a table at 80 columns.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    for table in tables:
        if table.lines:
            console.print(terminal_table(table.title, table.header, table.lines))
    say(*remarks)
    make_folder(config.output)
    files = {suffix: config.output / f"comparison.{suffix}" for suffix in ("md", "csv", "html")}
    picture = config.output / "comparison.png"
    drawn = draw_curves_of(sides, picture)
    if not drawn:
        picture.unlink(missing_ok=True)  # of an earlier comparison
    write_text(files["md"], _markdown(tables, remarks, drawn))
    write_text(files["csv"], as_csv(sides))
    write_text(files["html"], _html(tables, remarks, picture.read_bytes() if drawn else None))
    say(f"written to {config.output}")
    return sides


def draw_curves_of(sides: Sequence[Side], path: Path) -> bool:
    """Draws every held-out metric of which a side has a curve; False where there is none."""
    names = by_name(dict.fromkeys(name for side in sides for name in side.curves))
    names = [name for name in names if name not in NOT_DRAWN]
    if not names:
        return False
    panels = []
    for name in names:
        floors = {side.floors.get(name) for side in sides}
        panels.append(
            Panel(
                {side.name: side.curves.get(name, ()) for side in sides},
                ylabel=label(name),
                floor=floors.pop() if len(floors) == 1 and name in FLOORS else None,
                share=is_share(name),
            )
        )
    from report.plots import plot_panels  # matplotlib takes a second to import

    plot_panels(path, panels, xlabel="updates", title=TITLE)
    return True


def _remarks(sides: Sequence[Side], settings: Cells) -> list[str]:
    remarks = []
    differing = {line[0] for line in settings.lines}
    if any(name.startswith("data.") and name != "data.cache" for name in differing):
        remarks.append(
            "The data differ: where the held-out text is another, losses and accuracies are those "
            "of different questions."
        )
    if any(side.intervals for side in sides):
        remarks.append(
            "± is half the 95 % t interval of a mean over seeds. Variants of one study saw the "
            "same batches seed by seed, so differences are surer than that: see its report.md."
        )
    elif len(sides) == 2:
        remarks.append("Of one run each: how much of a difference is chance, only seeds can tell.")
    if not settings.lines:
        remarks.append("No setting differs.")
    return remarks


def _markdown(tables: Sequence[Cells], remarks: Sequence[str], drawn: bool) -> str:
    parts = [f"# {TITLE}"]
    for table in tables:
        if table.lines:
            parts += [f"## {table.title}", text_table(table.header, table.lines)]
    parts += map(escaped, remarks)
    parts += ["## Curves", "![Curves](comparison.png)"] if drawn else []
    return "\n\n".join(parts) + "\n"


def _html(tables: Sequence[Cells], remarks: Sequence[str], picture: bytes | None) -> str:
    first, *rest = [
        f"<h2>{text_in_html(table.title)}</h2>\n{table_in_html(table.header, table.lines)}"
        for table in tables
        if table.lines
    ]
    notes = [f"<p>{text_in_html(remark)}</p>" for remark in remarks]
    image = ""
    if picture is not None:
        image = f'<h2>Curves</h2>\n<img alt="Curves" src="{png_in_html(picture)}">'
    return page(TITLE, "\n".join([first, *notes, image, *rest]))


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: compare_runs(
            parse(CompareConfig, prog="python -m eval.compare", description=__doc__)
        )
    )
