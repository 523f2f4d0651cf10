"""The conclusion of a study, in words."""

from collections.abc import Iterable, Mapping, Sequence

from report.naming import difference, noun, written
from report.study.comparison import MIN_SEEDS, Comparison, Difference
from report.study.folder import Study
from report.tables import listed


def conclusion(study: Study, comparison: Comparison) -> str:
    """A sentence for each reference on the differences to it in the primary metric."""
    references = dict.fromkeys(study.references().values())
    return " ".join(_of_reference(study, comparison, name) for name in references)


def _of_reference(study: Study, comparison: Comparison, name: str) -> str:
    """A sentence on the differences to a reference, with every variant that is compared with it."""
    metric, reference = noun(study.primary), f"“{name}”"
    base = comparison.rows.get(name)
    members = [other for other, known in study.references().items() if known == name]
    differences = {
        other: each for other, each in ranked(study, comparison).items() if other in members
    }
    count = len(comparison.seeds)
    if base is None or base.mean is None or count == 0:
        return f"There is no {metric} of {reference} to compare with: nothing can be concluded yet."
    level = written(study.primary, base.mean, decimals=2)
    if not differences:
        return (
            f"The {metric} of {reference} is {level} ({seeds(count)}), and there is no variant to "
            "compare it with."
        )

    def named(names: Iterable[str]) -> str:
        found = {name: differences[name] for name in names}
        return listed(
            [
                f"“{name}” ({difference(study.primary, each.mean, each.interval)})"
                for name, each in found.items()
            ]
        )

    if count < MIN_SEEDS:
        return (
            f"With {seeds(count)}, too few to tell a difference from chance, the {metric} differs "
            f"from that of {reference} ({level}), from worst to best, by these means: "
            f"{named(differences)}."
        )
    sure = [name for name, found in differences.items() if found.distinguishable]
    worse = [name for name in sure if _loss(study, differences[name]) > 0]
    better = [name for name in reversed(sure) if name not in worse]
    open_ = [name for name in differences if name not in sure]
    clauses = []
    if len(worse) == 1:
        clauses.append(f"{named(worse)} is worse")
    elif worse:
        clauses.append(f"{named(worse[:1])} is worst, then {named(worse[1:])}")
    if better:
        clauses.append(f"{named(better)} {'is' if len(better) == 1 else 'are'} better")
    if open_:
        clauses.append(f"{named(open_)} cannot be told from it after Holm's correction")
    rows = comparison.rows
    broken = [f"“{name}”" for name in members if name in rows and rows[name].mean is None]
    if broken:
        clauses.append(f"{listed(broken)} has a value that is not finite")
    return f"Against {reference} ({metric} {level}, {seeds(count)}), {'; '.join(clauses)}."


def ranked(study: Study, comparison: Comparison) -> Mapping[str, Difference]:
    """The differences to the references, the worst variant first."""
    found = {name: row.difference for name, row in comparison.rows.items() if row.difference}
    return dict(sorted(found.items(), key=lambda item: -_loss(study, item[1])))


def beside_published(study: Study, comparison: Comparison) -> str:
    """Sentences that compare sign and order with the published ones; "" if none is published."""
    groups = comparison.groups()
    each = {name: _beside(study, comparison, members) for name, members in groups.items()}
    if len(groups) == 1:
        return "".join(each.values())
    return " ".join(f"Against “{name}”: {text}" for name, text in each.items() if text)


def _beside(study: Study, comparison: Comparison, members: Sequence[str]) -> str:
    found = {name: each for name, each in ranked(study, comparison).items() if name in members}
    deltas = {
        name: variant.published.delta
        for name, variant in study.variants.items()
        if variant.published is not None and name in found
    }
    if not deltas:
        return ""
    same = {name for name, delta in deltas.items() if delta * _loss(study, found[name]) < 0}
    sure = {name for name in deltas if found[name].distinguishable}
    text = f"The sign is the published one in {len(same)} of {len(deltas)} variants"
    if len(comparison.seeds) >= MIN_SEEDS:
        text += f" (in {len(sure & same)} of the {len(sure)} that can be told from the reference)"
    text += "."
    if len(deltas) > 1:
        published = sorted(deltas, key=deltas.__getitem__)
        here = [name for name in found if name in deltas]
        orders = [listed([f"“{name}”" for name in order]) for order in (published, here)]
        same_order = "as here" if published == here else f"here {orders[1]}"
        text += f" From worst to best the published order is {orders[0]}, {same_order}."
    return text


def _loss(study: Study, found: Difference) -> float:
    """The amount by which it is worse than the reference."""
    return -found.mean if study.better == "higher" else found.mean


def seeds(count: int) -> str:
    """So many seeds, in words."""
    return "one seed" if count == 1 else f"{count} seeds"
