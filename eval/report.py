"""report.md: what a training run did and what came out, for people, with pictures.

    python -m eval.report runs/distill-tiny

The training loop writes it at the end of a run; the command does it for one that was stopped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from report.run import write_report


@dataclass(frozen=True)
class Report:
    """Write the report of a training run, also of one that was stopped."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder, such as runs/distill-tiny."""


def run(config: Report) -> None:
    print(write_report(config.folder))


if __name__ == "__main__":
    from train.command.cli import main

    main(lambda: run(tyro.cli(Report, prog="python -m eval.report", description=__doc__)))
