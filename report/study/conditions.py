"""The conditions of a study: batch, text, optimizer, machine, versions, date and time."""

from collections.abc import Mapping
from typing import Any

from report.markdown import text_table
from report.naming import as_text
from report.study.folder import Study, of_base
from report.tables import duration, listed

SETTINGS = {
    "sequences an update": "batch_size",
    "micro-batches": "micro_batches",
    "tokens in a sequence": "data.sequence_length",
    "sequences are": "data.mode",
    "learning rate (peak)": "optimizer.learning_rate",
    "share of warm-up": "optimizer.warmup_share",
    "clip norm": "optimizer.clip_norm",
    "share of tokens predicted": "masking.share",
    "smoothing of the masks": "masking.smoothing",
    "dtype": "dtype",
    "held-out sequences, at most": "heldout_sequences",
}


def conditions_table(study: Study) -> str:
    """A row for each condition that study.json tells; variants may differ from it by their own."""
    settings = {title: of_base(study.record, name) for title, name in SETTINGS.items()}
    rows = {
        "updates of a student": f"{study.steps:,}",
        **{title: as_text(value) for title, value in settings.items()},
        **_origin(study.record.get("provenance")),
        "time, with compilation and evaluation": duration(study.seconds),
    }
    lines = [[title, text] for title, text in rows.items() if text]
    return text_table(["", ""], lines, left=2)


def _origin(provenance: Any) -> dict[str, str]:
    """The machine, the versions, the commit and the date."""
    if not isinstance(provenance, Mapping):
        return {}
    devices, git = provenance["devices"], provenance["git"]
    kind = f"{devices['count']} x {devices['kind']}"
    if devices["platform"] == "cpu":
        kind = f"{provenance['cpu_cores']} CPU cores"
    commit = (git["commit"] or "")[:10] + (" with changes" if git["dirty"] else "")
    versions = [f"{name} {version}" for name, version in provenance["versions"].items()]
    return {
        "hardware": f"{kind}, {provenance['platform']}",
        "versions": listed(versions),
        "commit": commit,
        "begun": provenance["started"][:10],
    }
