"""The evaluations of a run: which metrics they have, which was the best, whose model is kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from data.storage.run_folder import RunRecord
from report.gradients import gradients_of
from report.naming import FLOORS, by_name, in_tables
from report.panel import Points

Record = Mapping[str, Any]
"""A line of metrics.jsonl."""

BOOKKEEPING = {"step", "kind", "seconds", "data_seconds", "compiles", "padding"}


def measured_metrics(row: Record) -> list[str]:
    """The measured metrics, in the order of NAMES, without floors and gradients of single terms."""
    others = {*BOOKKEEPING, *FLOORS.values(), *gradients_of(row)}
    measured = [name for name in row if name not in others]
    return by_name(in_tables(measured))


def yardstick(row: Record) -> str:
    """The metric that decides which evaluation was the best; "" for none."""
    names = ("score", "masked_lm_loss", "next_token_loss", "kl_to_teacher", "loss")
    return next((name for name in names if name in row), "")


def best_evaluation(heldout: Sequence[Record]) -> Record:
    name = yardstick(heldout[-1])
    if not name:
        return heldout[-1]
    best = max if name == "score" else min
    return best((row for row in heldout if name in row), key=lambda row: row[name])


def kept_evaluation(run: RunRecord, heldout: Sequence[Record]) -> Record | None:
    """The evaluation whose model is kept; None where that is the model of the last step."""
    return best_evaluation(heldout) if run.report == "best" and heldout else None


def curve_of(rows: Sequence[Record], name: str) -> Points:
    return [(row["step"], row[name]) for row in rows if name in row]
