"""The report of a study: report.md with its pictures, table.csv and results.json."""

import math
from collections.abc import Mapping
from pathlib import Path

from data.storage.atomic import replacing, write_text
from data.storage.provenance import write_json_atomic
from model.typed import as_type
from report.markdown import code, escaped, fenced
from report.naming import capital, label
from report.study.comparison import MIN_SEEDS, Comparison, compare_variants
from report.study.conclusion import beside_published, conclusion, seeds
from report.study.conditions import conditions_table
from report.study.factors import factor_sections
from report.study.folder import STUDY, STUDY_FILE, Study, read_study
from report.study.gradients import gradients_section, weights_section
from report.study.nested import nested_sections
from report.study.plots import draw_pictures
from report.study.scaling import Scaling, scaling_of
from report.study.search import VariantSearch, search_section
from report.study.tables import (
    Comparisons,
    main_table,
    missing_losses,
    other_losses,
    other_metrics,
    values_table,
    variants_table,
    write_csv,
)
from report.tables import listed

HOW_TO_READ = (
    "Means are over the seeds that all variants share. A difference is the variant minus the "
    "reference within each seed, where both saw the same batches and masks; ± is its 95 % t "
    "interval. p is of the paired t test, corrected by Holm's method for all variants of the "
    "study; the interval is of one variant alone, and may leave out zero where p does not. "
    "“Detectable” is the smallest true difference that this many seeds find with a probability of "
    "80 % (two-sided paired t test at 0.05, before Holm's correction): λ s / √n, with s the "
    "standard deviation of the n differences and λ from the noncentral t distribution. A "
    "difference that is smaller than this and not told from zero is “not resolved”: the study was "
    "too small to say that there is none."
)
SIGN_AND_ORDER = (
    "Only sign and order can be set against each other: the published numbers are of other models, "
    "data and metrics."
)


def write_study_report(folder: Path) -> Path:
    """Writes the report of the study in `folder` into it.

    Returns:
        The path of report.md.

    Raises:
        InputError: the folder holds no study, or the disk refuses.
    """
    study = read_study(folder)
    metrics = dict.fromkeys([study.primary, *study.metrics()])
    comparisons = {
        name: compare_variants(name, study.values(name), study.references()) for name in metrics
    }
    sentence = conclusion(study, comparisons[study.primary])
    scaling = scaling_of(study, comparisons)
    parts = [
        f"# {escaped(study.title)}",
        escaped(sentence),
        *_report(study, comparisons, scaling, draw_pictures(folder, study, comparisons, scaling)),
    ]
    with replacing(folder / "table.csv") as file:
        write_csv(file, study, comparisons)
    record = {"study": study.record, "comparisons": comparisons, "runs": study.runs}
    record |= {} if scaling is None else {"scaling": scaling}
    write_json_atomic(folder / "results.json", {"conclusion": sentence, **record})
    path = folder / "report.md"
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def _report(
    study: Study,
    comparisons: Comparisons,
    scaling: Scaling | None,
    pictures: Mapping[str, str],
) -> list[str]:
    primary = comparisons[study.primary]
    shown = {file: f"![{escaped(caption)}]({file})" for file, caption in pictures.items()}
    published = beside_published(study, primary)
    others, losses = other_metrics(study, comparisons), other_losses(study, comparisons)
    several = len(primary.seeds) >= MIN_SEEDS
    held = "Intervals and p values hold" if several else "The values hold"
    planned = len(study.seeds) * len(study.variants)
    parts = [
        f"{held} for this teacher ({code(study.teacher)}) and this corpus "
        f"({escaped(study.corpus)}): they say how the result varies with the seed, not what "
        "another teacher or another text would give.",
        escaped(_remarks(study, primary)),
        escaped(_seeds_added(study)),
        shown.get("differences.png"),
        f"## {escaped(capital(label(study.primary)))}",
        main_table(study, comparisons),
        missing_losses(study, comparisons),
        losses and escaped(losses),
        HOW_TO_READ,
        published and f"{escaped(published)} {SIGN_AND_ORDER}",
        *factor_sections(study, primary),
        "### Every value",
        values_table(study, primary),
        *([] if scaling is None else ["## Loss against compute", escaped(scaling.conclusion)]),
        shown.get("scaling.png"),
        *(["## Other metrics"] if others else []),
        *others,
        *nested_sections(study, comparisons),
        shown.get("curves.png"),
        *gradients_section(study),
        *([] if study.search is None else _how_chosen(study, study.search)),
        "## The variants",
        variants_table(study),
        *weights_section(study),
        f"{len(study.runs)} of {planned} students done. One row a variant is in `table.csv`, every "
        "value in `results.json`.",
        "## How it was run",
        conditions_table(study),
        f"The study was declared in {code(STUDY_FILE)}, a copy of which is beside this report."
        if study.file
        else "",
        fenced(study.command) if study.command else "It was started from a notebook.",
    ]
    return [part for part in parts if part]


def _how_chosen(study: Study, search: VariantSearch) -> list[str]:
    facts = as_type(Mapping[str, str], study.record.get("facts"), STUDY, "facts")
    return search_section(search, study.primary, facts.get("heldout_sequences", ""))


def _seeds_added(study: Study) -> str:
    """A sentence on each time that seeds were added; "" where all were declared at first."""
    return " ".join(
        f"{capital(listed([str(seed) for seed in added.seeds]))}: seeds that were added on "
        f"{added.on} after the results of {seeds(added.after)} had been seen, so intervals and p "
        "values are narrower than they should be if the decision to add them depended on these."
        for added in study.seeds_added
    )


def _remarks(study: Study, comparison: Comparison) -> str:
    """Sentences on missing values, and on variants that cannot be tested."""
    remarks = []
    absent = [f"“{name}”" for name in study.variants if name not in comparison.rows]
    if absent:
        remarks.append(f"Not measured yet: {listed(absent)}.")
    left_out = [str(seed) for seed in study.seeds if seed not in comparison.seeds]
    if left_out and comparison.rows:
        remarks.append(
            f"The comparison is over {len(comparison.seeds)} of {len(study.seeds)} seeds: not "
            f"every variant has a value for {listed(left_out)}."
        )
    if len(comparison.seeds) < MIN_SEEDS:
        remarks.append(f"With fewer than {MIN_SEEDS} seeds there are values, but no intervals.")
    for name, row in comparison.rows.items():
        broken = [str(seed) for seed in comparison.seeds if not math.isfinite(row.values[seed])]
        if broken:
            remarks.append(
                f"“{name}” is not compared: its value is not finite with seed {listed(broken)}."
            )
        elif row.difference is not None and row.difference.deviation == 0:
            how = "equals the reference" if row.difference.mean == 0 else "differs equally"
            remarks.append(f"“{name}” {how} in every seed, which a t test cannot judge.")
    return " ".join(remarks)
