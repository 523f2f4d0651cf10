"""The tables of a study: in Markdown for people, and as CSV for programs."""

import csv
from collections.abc import Mapping
from pathlib import Path

from report.markdown import escaped, text_table
from report.naming import (
    AGREEMENT,
    CLIPPED,
    LOSS,
    MINUS,
    as_text,
    by_name,
    difference,
    label,
    noun,
    probability,
    width,
    written,
)
from report.study.comparison import Comparison, Difference
from report.study.folder import Study
from report.tables import listed

Comparisons = Mapping[str, Comparison]
"""By metric; the primary one is among them."""


def main_table(study: Study, comparisons: Comparisons) -> str:
    """A row a variant: the primary metric, its difference to the reference, and how it trained."""
    primary = comparisons[study.primary]
    terms = [name for name in _losses(comparisons) if not _own_settings(study, name)]
    beside = [name for name in (AGREEMENT, CLIPPED, *terms) if name in comparisons]
    beside = [name for name in beside if name != study.primary]
    published = any(variant.published for variant in study.variants.values())
    references = study.references().values()
    header = ["", "mean", "difference", "p (Holm)", "detectable"]
    header += ["published"] if published else []
    lines = []
    for name, variant in study.variants.items():
        row = primary.rows.get(name)
        cells = [name, _mean(primary, name)]
        if row is None or (found := row.difference) is None:
            cells += ["reference" if name in references else "", "", ""]
        else:
            least = found.detectable
            cells.append(difference_in_print(study.primary, found, least))
            cells.append(probability(found.p_holm))
            cells.append("" if least is None else width(study.primary, least))
        if published:
            paper = variant.published
            delta = "" if paper is None else f"{paper.delta:+.2f}".replace("-", MINUS)
            cells.append("" if paper is None else f"{delta} {paper.unit}")
        cells += [_mean(comparisons[other], name) for other in beside]
        lines.append(cells)
    return text_table([*header, *map(label, beside)], lines)


def difference_in_print(metric: str, found: Difference, least: float | None) -> str:
    """A difference with its interval; "not resolved" if it is not found and below `least`.

    `least` is the smallest true difference that would have been found, if that is known.
    """
    text = difference(metric, found.mean, found.interval)
    missed = least is not None and not found.distinguishable and abs(found.mean) < least
    return f"{text}, not resolved" if missed else text


def other_losses(study: Study, comparisons: Comparisons) -> str:
    """A sentence on the training losses that variants measure differently; "" without any."""
    found = {metric: _own_settings(study, metric) for metric in _losses(comparisons)}
    names = [f"{noun(metric)} ({listed(own)})" for metric, own in found.items() if own]
    if not names:
        return ""
    return (
        "Training losses that variants measure with settings of their own are not shown side by "
        f"side: {listed(names)}. Held-out metrics are the same for all, the KL at temperature 1."
    )


def missing_losses(study: Study, comparisons: Comparisons) -> str:
    """A sentence on the empty cells of training losses; "" without any."""
    losses = [comparisons[metric].rows for metric in _losses(comparisons)]
    if all(name in rows for rows in losses for name in study.variants):
        return ""
    return (
        "A training loss is empty where the variant does not learn from it and no other that is "
        "trained in one program with it does: it was not computed."
    )


def _losses(comparisons: Comparisons) -> list[str]:
    return [name for name in comparisons if name.startswith(LOSS)]


def _own_settings(study: Study, loss: str) -> list[str]:
    """The settings that some variant has to itself and on which the value of a loss depends."""
    term = f"loss.{loss.removeprefix(LOSS)}."
    names = [name for variant in study.variants.values() for name in variant.settings]
    return [
        name
        for name in dict.fromkeys(names)
        if name.startswith((term, "loss.mean", "masking.")) and name != f"{term}weight"
    ]


def values_table(study: Study, comparison: Comparison) -> str:
    """Every single value of a metric, a row a variant and a column a seed."""
    metric = comparison.metric
    lines = [
        [name, *(written(metric, row.values.get(seed), decimals=2) for seed in study.seeds)]
        for name, row in comparison.rows.items()
    ]
    return text_table(["seed", *map(str, study.seeds)], lines)


def other_metrics(study: Study, comparisons: Comparisons) -> list[str]:
    """The table of the metrics beside the primary one, and a note on it; [] without any."""
    beside = [name for name in comparisons if name not in (study.primary, CLIPPED)]
    names = by_name(name for name in beside if not name.startswith(LOSS))
    if not names:
        return []
    lines = [
        [variant, *(_with_difference(comparisons[name], variant) for name in names)]
        for variant in study.variants
    ]
    note = (
        "In brackets the difference to the reference, of shares in points, with its 95 % interval. "
        f"These are not tested: the study declared {noun(study.primary)} as its one primary metric "
        "before it ran."
    )
    return [text_table(["", *map(label, names)], lines), escaped(note)]


def variants_table(study: Study) -> str:
    """A row a variant: what it is, its own settings, updates and operations, size and speed."""
    differ = any(variant.steps for variant in study.variants.values())
    counted = any(variant.operations for variant in study.variants.values())
    lines = [
        [
            name,
            variant.about,
            ", ".join(f"{own} = {as_text(value)}" for own, value in variant.settings.items()),
            *([f"{variant.steps or study.steps:,}"] if differ else []),
            *([f"{variant.operations or 0:.2g}"] if counted else []),
            f"{variant.parameters / 1e6:.2f} M",
            f"{variant.bytes / 1e6:.1f} MB",
            f"{variant.sentences_per_second:,.0f}",
        ]
        for name, variant in study.variants.items()
    ]
    updates = ["updates"] if differ else []
    operations = ["operations"] if counted else []
    header = [
        "",
        "what it is",
        "settings",
        *updates,
        *operations,
        "parameters",
        "size",
        "sentences/s",
    ]
    return text_table(header, lines, left=3)


def write_csv(path: Path, study: Study, comparisons: Comparisons) -> None:
    """Writes a row a variant: plain numbers (shares between 0 and 1); missing ones are empty."""
    others = [name for name in comparisons if name != study.primary]
    sizes = ("parameters", "bytes", "sentences_per_second", "operations")
    spread = ("deviation", "interval", "p", "p_holm", "detectable")
    published = ("published_delta", "published_unit")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        header = ["variant", *sizes, "seeds", study.primary, "difference", *spread]
        writer.writerow([*header, *published, *others])
        for name, variant in study.variants.items():
            rows = [comparisons[metric].rows.get(name) for metric in (study.primary, *others)]
            mean, *other_means = [None if row is None else row.mean for row in rows]
            found = None if rows[0] is None else rows[0].difference
            size = [getattr(variant, field) for field in sizes]
            seeds = len(comparisons[study.primary].seeds)
            change = [getattr(found, field, None) for field in ("mean", *spread)]
            paper = [getattr(variant.published, field, None) for field in ("delta", "unit")]
            writer.writerow([name, *size, seeds, mean, *change, *paper, *other_means])


def _mean(comparison: Comparison, variant: str) -> str:
    row = comparison.rows.get(variant)
    return "" if row is None else written(comparison.metric, row.mean, decimals=2)


def _with_difference(comparison: Comparison, variant: str) -> str:
    text = _mean(comparison, variant)
    row = comparison.rows.get(variant)
    if row is None or (found := row.difference) is None:
        return text
    return f"{text} ({difference(comparison.metric, found.mean, found.interval, unit=False)})"
