"""The report of a study: report.md with its pictures, table.csv and results.json.

    python -m eval.study_report runs/paper-table-4

It is made from `study.json` and `results.jsonl` alone (see report/study/folder.py), even if some
runs are missing. The study's command writes it at the end; this one writes it again.
"""

from pathlib import Path
from typing import Annotated

import tyro

from model.terminal import say
from report.study.report import write_study_report

StudyFolder = Annotated[
    Path, tyro.conf.arg(metavar="STUDY", help="The folder of a study: runs/paper-table-4.")
]

if __name__ == "__main__":
    from train.command.cli import main, parse

    PROG = "python -m eval.study_report"
    main(lambda: say(str(write_study_report(parse(StudyFolder, prog=PROG, description=__doc__)))))
