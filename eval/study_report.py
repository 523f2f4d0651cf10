"""The report of a study: report.md with its pictures, table.csv and results.json.

    python -m eval.study_report runs/paper-table-4

It is made from `study.json` and `results.jsonl` alone (see report/study/folder.py), also when some
runs are still missing. The study's command writes it at the end; this one rewrites it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from report.study.report import write_study_report


@dataclass(frozen=True)
class StudyReport:
    """Write the report of a study, also of one that is not complete."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="STUDY")]
    """The folder of the study, such as runs/paper-table-4."""


def run(config: StudyReport) -> None:
    print(write_study_report(config.folder))


if __name__ == "__main__":
    from train.command.cli import main

    main(
        lambda: run(tyro.cli(StudyReport, prog="python -m eval.study_report", description=__doc__))
    )
