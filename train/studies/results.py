"""The results of the students of a block, from the metrics that it recorded."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from data.storage.run_folder import read_metrics, read_run_record
from model.errors import InputError
from model.terminal import say
from report.gradients import gradients_of
from report.naming import FLOORS
from report.study.folder import Study, read_results

DONE = "results.jsonl"
"""The file in the folder of a complete block: a line a student."""

OF_OPTIMIZER = ("loss", "grad_norm", "clipped", "learning_rate")
# Floors, which are no student's, and another one's exponential: they belong to no table of a study.
LEFT_OUT = (*FLOORS.values(), "exp_masked_lm_loss")


def is_done(folder: Path, seed: int, study: Study) -> bool:
    """True for a block with the results of all students; a damaged file of results is named."""
    path = folder / DONE
    if not path.is_file():
        return False
    try:
        found = {(result.variant, result.seed) for result in read_results(path, study)}
        damage = f"{path} lacks students"
    except InputError as error:
        found, damage = set(), str(error)
    whole = found == {(name, seed) for name in study.variants}
    if not whole:
        say(f"{damage}: the students of seed {seed} are measured again")
    return whole


def block_results(folder: Path, students: Sequence[str]) -> list[dict[str, Any]]:
    """One record a student, as in the results.jsonl of a study (report/study/folder.py).

    Raises:
        InputError: the record of the block is damaged, or begins after its first update.
    """
    rows = read_metrics(folder, whole=True)
    seed = read_run_record(folder).seed
    return [_result(rows, name, seed) for name in students]


def _result(rows: Sequence[dict[str, Any]], student: str, seed: int) -> dict[str, Any]:
    start = f"{student}/"
    curve, train, gradients = [], [], []
    for row in rows:
        own = {name.removeprefix(start): v for name, v in row.items() if name.startswith(start)}
        if row["kind"] == "train":
            train.append(own)
            if apart := gradients_of(own):
                gradients.append([row["step"], apart])
        else:
            curve.append([row["step"], {n: v for n, v in own.items() if n not in LEFT_OUT}])
    last = train[-math.ceil(len(train) / 10) :]
    others = {*OF_OPTIMIZER, *gradients_of(train[0])}
    terms = [name for name in train[0] if name not in others]
    return {
        "variant": student,
        "seed": seed,
        "metrics": {
            **curve[-1][1],
            "clipped_share": fmean([values["clipped"] for values in train]),
            # The loss of one batch depends on the batch: the mean of the last tenth of the updates.
            **{f"loss_{name}": fmean([values[name] for values in last]) for name in terms},
        },
        "curve": curve,
        **({"gradients": gradients} if gradients else {}),
    }
