"""The results of the quickstart: its table, its sentence and its picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data.storage.atomic import write_text
from data.storage.provenance import write_json_atomic
from data.storage.run_folder import read_metrics
from report.markdown import text_table
from report.plots import Panel, plot_panels
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


def cell(values: list[float], style: str) -> str:
    """The mean and, where seeds differ, half the width of its 95 % interval."""
    mean = format(float(np.mean(values)), style)
    if len(values) == 1 or np.ptp(values) == 0:
        return mean
    return f"{mean} ± {format(interval(values), style)}"


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
                f"{size['bytes'] / 1e6:.1f} MB",
                f"{size['speed']:,.0f}",
                cell([each[name]["masked_lm_loss"] for each in results], ".3f"),
                cell([each[name]["masked_lm_accuracy"] for each in results], ".1%"),
                cell([each[name]["top1_agreement"] for each in results], ".1%"),
                cell([kept_share(each, name) for each in results], ".0%"),
            ]
        )
    header = ["", "params", "size", "sentences/s", "loss", "accuracy", "agreement", "keeps"]
    return header, lines


def headline(results: Sequence[ByModel]) -> str:
    """The gain over the same start without a teacher in one sentence, whatever its sign."""
    gains = [
        scores[DISTILLED]["masked_lm_accuracy"] - scores[ALONE]["masked_lm_accuracy"]
        for scores in results
    ]
    gain = float(np.mean(gains))
    spread = f" (95 % interval ± {interval(gains) * 100:.1f})" if len(gains) > 1 else ""
    return (
        f"From the same start, {abs(gain) * 100:.1f} points{spread} "
        f"{'more' if gain >= 0 else 'less'} accuracy with the teacher than without it."
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
Size: the file in float32. Loss: masked LM, in nats; accuracy: masked tokens guessed right;
agreement: guessed as the teacher does. "keeps": the share of the teacher's accuracy above the
unigram floor ({floor["unigram_accuracy"]:.1%}, loss {floor["unigram_loss"]:.3f}).
The students have one architecture, so size and speed were measured once.

![Accuracy on held-out text](curves.png)
"""
    record = {"sizes": sizes, "results": results, "seconds": seconds}
    write_text(folder / "quickstart.md", text)
    write_json_atomic(folder / "quickstart.json", record)


def draw_accuracy(folder: Path, picture: Path) -> None:
    """Draws the held-out accuracy of the three runs in `folder` over the updates."""
    curves, floor = {}, None
    for name in (DISTILLED, ALONE, RANDOM):
        heldout = [
            r for r in read_metrics(folder / name.replace(" ", "-")) if r["kind"] == "heldout"
        ]
        curves[name] = [(row["step"], row["masked_lm_accuracy"]) for row in heldout]
        floor = heldout[0]["unigram_accuracy"]
    panel = Panel(curves, "masked-LM accuracy on held-out text", floor=floor, share=True)
    plot_panels(picture, [panel], xlabel="updates", title="Six layers learn from twelve")
