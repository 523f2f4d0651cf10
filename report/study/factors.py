"""The effects of factors, in studies whose variants are crossed with conditions.

Of a level of a factor against its first level, seed by seed: the difference of their means over all
variants and conditions that have both. Where it is not the same for all of them, the columns show
it: one for each level of the other factor, or for each variant.
"""

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

from report.markdown import Markdown, escaped, text_table
from report.naming import capital
from report.study.comparison import Comparison, paired_difference
from report.study.folder import Study
from report.study.tables import difference_in_print

UNNAMED = "as it is"
"""A level without a name, in a table."""
HOW_TO_READ_FACTORS = (
    "Each level against the first, seed by seed: the mean over all, and then beside each level of "
    "another factor. ± is the 95 % t interval of this difference alone; none of these is tested."
)

Levels = Mapping[str, str]
"""One level of each variant, by its name."""


def factor_sections(study: Study, comparison: Comparison) -> list[str]:
    """A table for the variants and one for each factor; [] where nothing is crossed."""
    known = {name: variant.levels for name, variant in study.variants.items() if variant.levels}
    if not known or not comparison.seeds:
        return []
    own = {name: _without(name, levels) for name, levels in known.items()}
    factors = list(next(iter(known.values())))
    axes: list[tuple[str, Levels]] = [
        ("variants", own),
        *((factor, {name: levels[factor] for name, levels in known.items()}) for factor in factors),
    ]
    parts = ["## Factors"]
    for place, (title, levels) in enumerate(axes):
        _, beside = axes[0] if place else axes[1]
        parts += [f"### {escaped(capital(title))}", effects_table(comparison, levels, beside)]
    return [*parts, HOW_TO_READ_FACTORS]


def _without(name: str, levels: Mapping[str, str]) -> str:
    """The name of a variant without those of its conditions."""
    return name.removesuffix("".join(f", {level}" for level in levels.values() if level))


def effects_table(comparison: Comparison, levels: Levels, beside: Levels) -> Markdown:
    """A row a level: its effect over all variants, and over those at each level of `beside`."""
    first, *others = dict.fromkeys(levels.values())
    groups = [("all", set(levels))]
    for other in dict.fromkeys(beside.values()):
        groups.append((other or UNNAMED, {name for name in levels if beside[name] == other}))
    lines = []
    for level in others:
        effects = [_effect(comparison, levels, group, level, first) for _, group in groups]
        lines.append([level or UNNAMED, *effects])
    return text_table([f"against “{first or UNNAMED}”", *(title for title, _ in groups)], lines)


def _effect(comparison: Comparison, levels: Levels, group: set[str], level: str, first: str) -> str:
    """The difference in print; "" where a variant has no finite value."""
    sides = [
        [comparison.rows.get(name) for name in group if levels[name] == one]
        for one in (level, first)
    ]
    means = []
    for side in sides:
        rows = [row for row in side if row is not None and row.mean is not None]
        if not rows or len(rows) < len(side):
            return ""
        means.append({seed: fmean(row.values[seed] for row in rows) for seed in comparison.seeds})
    found = paired_difference(means[0], means[1], comparison.seeds)
    alone = replace(found, p_holm=found.p)  # one of no family of tests
    return difference_in_print(comparison.metric, alone, found.detectable)
