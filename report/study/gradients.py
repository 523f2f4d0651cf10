"""The gradients of the students' terms in the report of a study, and weights in their units."""

from typing import Any

import numpy as np

from report.gradients import HOW_TO_READ_GRADIENTS, gradient_rows
from report.markdown import text_table
from report.naming import LOSS, as_text, noun, with_interval, written
from report.study.comparison import MIN_SEEDS, interval
from report.study.folder import Study, VariantRecord

PLACES = ("first update", "middle", "last update")


def gradients_section(study: Study) -> list[str]:
    """The means over the seeds of norms and cosines, by variant; [] where none was measured."""
    lines = []
    for variant in study.variants:
        columns = [_of_place(study, variant, place) for place in range(len(PLACES))]
        for number, row in enumerate(gradient_rows(columns)):
            lines.append(["" if number else variant, *row])
    if not lines:
        return []
    table = text_table(["", "", *PLACES], lines, left=2)
    note = "Means over the seeds; ± is half their 95 % t interval."
    return ["## Gradients of the terms", table, f"{HOW_TO_READ_GRADIENTS} {note}"]


def _of_place(study: Study, variant: str, place: int) -> dict[str, str]:
    """The texts of all numbers of a variant in one of the measured updates, by name."""
    own = [run.gradients for run in study.runs if run.variant == variant]
    found = [numbers[place][1] for numbers in own if place < len(numbers)]
    texts = {}
    for name in dict.fromkeys(name for numbers in found for name in numbers):
        values = [numbers[name] for numbers in found if name in numbers]
        mean, finite = float(np.mean(values)), np.isfinite(values).all()
        half = interval(values) if finite and len(values) >= MIN_SEEDS else None
        texts[name] = written(name, mean) if half is None else with_interval(name, mean, half)
    return texts


def weights_section(study: Study) -> list[str]:
    """The weights that were divided by norms, by variant and term; [] where none was."""
    lines = []
    for name, variant in study.variants.items():
        for number, (term, norm) in enumerate(variant.gradient_norms.items()):
            used = _weights(variant, term)
            given = as_text([weight * norm for weight in used])
            row = [noun(LOSS + term), given, written("", norm), as_text(used)]
            lines.append(["" if number else name, *row])
    if not lines:
        return []
    header = ["", "term", "weight", "norm of its gradient", "weight in the loss"]
    note = (
        "Each weight was divided by the norm of its term's gradient in the first update of the "
        "first seed, so that weights of different terms compare. With the weights in the loss, "
        "which study.json has with all digits, `train.distill` trains the same students."
    )
    return ["## Weights in units of gradients", text_table(header, lines, left=2), note]


def _weights(variant: VariantRecord, term: str) -> list[Any]:
    """The weight of a term in the loss, at one or at both ends of the run."""
    weight = variant.settings[f"loss.{term}.weight"]
    return weight if isinstance(weight, list) else [weight]
