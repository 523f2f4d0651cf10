"""results.json: the results of a run on text, in a few numbers."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.storage.provenance import write_json_atomic
from data.storage.run_folder import (
    read_metrics,
    read_run_record,
    updates_done,
    without_compilation,
)


def totals(folder: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Updates, tokens and seconds of a run, and its tokens a second: the median of the updates.

    Where part of its record is lost, `recorded_updates` are less than `updates`, and all but the
    number of updates is theirs. Padding is no token; its share of the places in all batches is
    `padding`.
    """
    train = [row for row in rows if row["kind"] == "train"]
    speeds = [row["tokens_per_second"] for row in without_compilation(train)]
    tokens = [row["tokens_per_second"] * row["seconds"] for row in train]
    text = [1 - min(row.get("padding", 0.0), 0.999999) for row in train]  # its share of the places
    places = [count / share for count, share in zip(tokens, text, strict=True)]
    return {
        "updates": updates_done(folder, rows),
        "recorded_updates": len(train),
        "tokens": round(sum(tokens)),
        "padding": 1 - sum(tokens) / sum(places) if sum(places) else 0.0,
        "seconds": sum(row["seconds"] for row in rows),
        "tokens_per_second": statistics.median(speeds) if speeds else None,
    }


def write_results(folder: Path) -> None:
    """Writes `folder`/results.json from config.json and metrics.jsonl.

    It holds the held-out metrics of the last evaluation, updates, tokens and seconds (compilation
    and evaluation are among these, and not in the median of `tokens_per_second`), and the devices.

    Raises:
        InputError: the folder holds no run, or the disk refuses.
    """
    run, rows = read_run_record(folder), read_metrics(folder)
    heldout = [row for row in rows if row["kind"] == "heldout"]
    record = {
        "kind": run.kind,
        "parameters": run.facts.parameters,
        **totals(folder, rows),
        "devices": run.settings["provenance"]["devices"],
        "git": run.provenance.git,
        "heldout": heldout[-1] if heldout else {},
    }
    write_json_atomic(folder / "results.json", record)
