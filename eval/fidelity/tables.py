"""The tables of fidelity."""

import numpy as np

from eval.fidelity.measure import Fidelity
from report.naming import with_interval

PREDICTIONS = {
    "accuracy": "accuracy",
    "nll": "NLL (nats)",
    "brier": "Brier score",
    "ece": "ECE, 15 bins of equal mass",
}
OF_BOTH = {
    "agreement": "top-1 agreement",
    "agreement_where_right": "where the teacher is right",
    "agreement_where_wrong": "where the teacher errs",
    "kl": "KL(teacher ‖ student) (nats)",
}
_SHARES = {*("accuracy", "ece"), *(name for name in OF_BOTH if name != "kl")}


def prediction_lines(fidelity: Fidelity) -> tuple[list[str], list[list[str]]]:
    """A row a metric, of the student and of its teacher."""
    lines = [
        [title, *(_cell(fidelity, f"{role}_{name}", name) for role in ("model", "teacher"))]
        for name, title in PREDICTIONS.items()
    ]
    lines += [[title, _cell(fidelity, name, name), ""] for name, title in OF_BOTH.items()]
    return ["", "student", "teacher"], lines


def _cell(fidelity: Fidelity, name: str, kind: str) -> str:
    if name not in fidelity.metrics:
        return ""
    # Shares and numbers are written as metrics that have a name are.
    shown = "masked_lm_accuracy" if kind in _SHARES else "masked_lm_loss"
    return with_interval(shown, fidelity.metrics[name], fidelity.intervals.get(name))


def layer_lines(fidelity: Fidelity) -> tuple[list[str], list[list[str]]]:
    """A row a student's layer: the teacher's layer most like it, and the baselines there."""
    lines = []
    tables = fidelity.cka
    for layer, row in enumerate(tables["student"]):
        if np.isnan(row).all():
            continue
        best = int(np.nanargmax(row))
        values = [tables[name][layer, best] for name in ("student", "untrained", "shuffled")]
        lines.append([_layer(layer), _layer(best), *(f"{value:.3f}" for value in values)])
    return ["student's layer", "most like", "CKA", "untrained", "shuffled"], lines


def _layer(place: int) -> str:
    return "embeddings" if place == 0 else str(place - 1)


def head_lines(fidelity: Fidelity) -> tuple[list[str], list[list[str]]]:
    """The mean affinity of heads that are matched one to one, and of each head's best."""
    lines = [
        [name, f"{each.mean:.3f}", f"{each.affinity.max(axis=1).mean():.3f}", str(len(each.pairs))]
        for name, each in fidelity.heads.items()
    ]
    return ["teacher's maps", "matched one to one", "each head's best", "pairs"], [
        ["of the same text", *lines[0][1:]],
        ["of another text", *lines[1][1:]],
    ]


def probe_lines(fidelity: Fidelity) -> tuple[list[str], list[list[str]]]:
    """The best layer of each model: accuracy, control task, selectivity."""
    assert fidelity.probes is not None
    lines = []
    for name, each in fidelity.probes.items():
        layer = int(np.argmax(each.classes))
        values = each.classes[layer], each.control[layer], each.selectivity[layer]
        lines.append([name, _layer(layer), *(f"{100 * value:.1f} %" for value in values)])
    return ["", "best layer", "accuracy", "control task", "selectivity"], lines
