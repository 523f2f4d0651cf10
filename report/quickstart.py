"""The results of the quickstart: its table, its sentence and its picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data.storage.atomic import write_text
from data.storage.provenance import write_json_atomic
from data.storage.run_folder import read_metrics
from report.markdown import text_table
from report.naming import digits_to_show
from report.panel import Panel
from report.study.comparison import interval

TEACHER = "teacher"
START = "before training"
DISTILLED = "distilled"
ALONE = "without teacher"
RANDOM = "distilled from random"

ByModel = Mapping[str, Mapping[str, float | int]]
"""Held-out metrics, or sizes and speed: numbers by the name of the model, then by their own."""


def kept_share(scores: ByModel, name: str) -> float:
    """The share of the teacher's accuracy above the unigram floor that a student has."""
    floor = scores[TEACHER]["unigram_accuracy"]
    above = scores[TEACHER]["masked_lm_accuracy"] - floor
    return (scores[name]["masked_lm_accuracy"] - floor) / above


def cell(values: list[float], decimals: int, sign: str = "f") -> str:
    """The mean and, where seeds differ, half the width of its 95 % interval; shares have sign %."""
    mean = float(np.mean(values))
    if len(values) == 1 or np.ptp(values) == 0:
        return f"{mean:.{decimals}{sign}}"
    half = interval(values)
    digits = digits_to_show(100 * half if sign == "%" else half, decimals)
    return f"{mean:.{digits}{sign}} ± {half:.{digits}{sign}}"


def quickstart_table(
    results: Sequence[ByModel], sizes: ByModel
) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table: a line a model, means over seeds with 95 % t intervals."""
    lines = []
    for name in results[0]:
        size = sizes[TEACHER if name == TEACHER else DISTILLED]
        lines.append(
            [
                name,
                f"{size['parameters'] / 1e6:.2f} M",
                f"{size['speed']:,.0f}",
                cell([each[name]["masked_lm_loss"] for each in results], 3),
                cell([each[name]["masked_lm_accuracy"] for each in results], 1, "%"),
                cell([kept_share(each, name) for each in results], 0, "%"),
                cell([each[name]["top1_agreement"] for each in results], 1, "%"),
                cell([each[name]["kl_to_teacher"] for each in results], 3),
            ]
        )
    header = ["", "params", "sentences/s", "loss", "accuracy", "keeps", "agreement", "KL"]
    return header, lines


def headline(results: Sequence[ByModel]) -> str:
    """The gains over the same start without a teacher in one sentence, whatever their signs."""

    def gain(metric: str) -> str:
        gains = [100 * (scores[DISTILLED][metric] - scores[ALONE][metric]) for scores in results]
        mean, more = float(np.mean(gains)), "more" if np.mean(gains) >= 0 else "less"
        if len(gains) == 1:
            return f"{abs(mean):.1f} points {more}"
        half = interval(gains)
        digits = digits_to_show(half, 1)
        return f"{abs(mean):.{digits}f} points (95 % interval ± {half:.{digits}f}) {more}"

    return (
        f"From the same start, {gain('masked_lm_accuracy')} accuracy with the teacher than without "
        f"it, and {gain('top1_agreement')} agreement with the teacher."
    )


def write_summary(
    folder: Path, results: Sequence[ByModel], sizes: ByModel, *, steps: int, seconds: float
) -> None:
    """Writes quickstart.md for people and quickstart.json, with every value, for programs."""
    table = text_table(*quickstart_table(results, sizes))
    seeds = "one seed" if len(results) == 1 else f"{len(results)} seeds, mean ± 95 % t interval"
    floor = results[0][TEACHER]
    text = f"""# Quickstart

{headline(results)}

{table}

Held-out text of `pydocs`, {steps} updates each, {seeds}, {seconds / 60:.1f} minutes.
Loss: masked LM, in nats; accuracy: masked tokens guessed right; agreement: guessed as the teacher
does; KL: KL(teacher || student) of the predictions, in nats. "keeps": the share of the teacher's
accuracy above the unigram floor ({floor["unigram_accuracy"]:.1%}, loss
{floor["unigram_loss"]:.3f}). The students have one architecture, so speed was measured once.

![Accuracy on held-out text](curves.png)
"""
    record = {"sizes": sizes, "results": results, "seconds": seconds}
    write_text(folder / "quickstart.md", text)
    write_json_atomic(folder / "quickstart.json", record)


def draw_accuracy(folder: Path, picture: Path) -> None:
    """Draws the held-out accuracy of the three runs in `folder` over the updates."""
    curves, floor = {}, None
    for name in (DISTILLED, ALONE, RANDOM):
        rows = read_metrics(folder / name.replace(" ", "-"), whole=True)
        heldout = [row for row in rows if row["kind"] == "heldout"]
        curves[name] = [(row["step"], row["masked_lm_accuracy"]) for row in heldout]
        floor = heldout[0]["unigram_accuracy"]
    from report.plots import plot_panels  # matplotlib takes a second to import

    panel = Panel(curves, "masked-LM accuracy on held-out text", floor=floor, share=True)
    plot_panels(picture, [panel], xlabel="updates", title="Six layers learn from twelve")
