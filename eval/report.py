"""report.md: the settings and results of a training run, for people, with pictures.

    python -m eval.report runs/distill-tiny

The training loop writes it at the end of a run; the command does it for one that was stopped.
"""

from pathlib import Path
from typing import Annotated

import tyro

from model.terminal import say
from report.run import write_report

RunFolder = Annotated[
    Path, tyro.conf.arg(metavar="RUN", help="The run folder, such as runs/distill-tiny.")
]

if __name__ == "__main__":
    from train.command.cli import main, parse

    PROG = "python -m eval.report"
    main(lambda: say(str(write_report(parse(RunFolder, prog=PROG, description=__doc__)))))
