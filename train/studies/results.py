"""The results of the students of a block, from the metrics that it recorded."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.storage.run_folder import read_metrics, read_run_config

DONE = "results.jsonl"
"""The file in the folder of a complete block: a line a student."""

OF_OPTIMIZER = ("loss", "grad_norm", "clipped", "learning_rate")
# The same for all students, or another one's exponential: they belong to no table of a study.
LEFT_OUT = ("unigram_loss", "unigram_accuracy", "exp_masked_lm_loss")


def block_results(folder: Path, students: Sequence[str]) -> list[dict[str, Any]]:
    """One record a student, as in the results.jsonl of a study (report/study/folder.py)."""
    rows = read_metrics(folder)
    seed = read_run_config(folder)["seed"]
    return [_result(rows, name, seed) for name in students]


def _result(rows: Sequence[dict[str, Any]], student: str, seed: int) -> dict[str, Any]:
    own = [(row["step"], row["kind"], _own(row, student)) for row in rows]
    curve = [[step, _heldout(values)] for step, kind, values in own if kind == "heldout"]
    train = [values for _, kind, values in own if kind == "train"]
    last = train[-math.ceil(len(train) / 10) :]
    terms = [name for name in train[0] if name not in OF_OPTIMIZER]
    return {
        "variant": student,
        "seed": seed,
        "metrics": {
            **curve[-1][1],
            "clipped_share": _mean([values["clipped"] for values in train]),
            # The loss of one batch depends on the batch: the mean of the last tenth of the updates.
            **{f"loss_{name}": _mean([values[name] for values in last]) for name in terms},
        },
        "curve": curve,
    }


def _own(row: dict[str, Any], student: str) -> dict[str, float]:
    start = f"{student}/"
    return {name.removeprefix(start): v for name, v in row.items() if name.startswith(start)}


def _heldout(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in LEFT_OUT}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
