"""The effects of factors, where every value is a sum of known parts."""

from itertools import product

import pytest
from scipy import stats

from report.study.comparison import compare_variants
from report.study.factors import factor_sections
from report.study.folder import read_study
from tests.report.study.test_report import VARIANT, study_of, tables, written

SEEDS = (1, 2, 3, 4, 5)
# In points: of the start, of the matching, and what both together add; by seed.
LAST, REVERSED = (-2, -2, -2, -2, -2), (1, 1.5, 0.5, 1, 1)
BOTH = (-0.5, -0.5, -0.5, -0.5, -0.5)


@pytest.fixture
def study(tmp_path):
    variants, runs = {}, []
    for matching, start in product(("", "reversed"), ("alternate", "last")):
        name = ", ".join(filter(None, [start, matching]))
        against = None if start == "alternate" else ", ".join(filter(None, ["alternate", matching]))
        variants[name] = {**VARIANT, "levels": {"matching": matching}, "against": against}
        for place, seed in enumerate(SEEDS):
            points = 20 + seed + (start == "last") * LAST[place]
            points += bool(matching) * (REVERSED[place] + (start == "last") * BOTH[place])
            metrics = {"masked_lm_accuracy": points / 100}
            runs.append({"variant": name, "seed": seed, "metrics": metrics})
    record = study_of(variants=variants, reference="alternate", seeds=[*SEEDS])
    return read_study(written(tmp_path, record, runs))


def of_primary(study):
    metric = study.primary
    return compare_variants(metric, study.values(metric), study.references())


def test_every_factor_has_its_effect_over_all_and_beside_each_level_of_another(study):
    heading, first, starts, second, matching, _ = factor_sections(study, of_primary(study))
    assert (heading, first, second) == ("## Factors", "### Variants", "### Matching")
    assert tables(starts)[0] == ["against “alternate”", "all", "as it is", "reversed"]
    assert tables(starts)[2] == ["last", "−2.25 points", "−2.00 points", "−2.50 points"]
    assert tables(matching)[0] == ["against “as it is”", "all", "alternate", "last"]
    half = stats.t.ppf(0.975, 4) * (0.125 / 5) ** 0.5  # of REVERSED, whose variance is 0.125
    assert tables(matching)[2] == [
        "reversed",
        f"+0.75 ± {half:.2f} points",
        f"+1.00 ± {half:.2f} points",
        f"+0.50 ± {half:.2f} points",
    ]


def test_an_effect_that_lacks_a_student_is_left_out(study):
    values = study.values(study.primary)
    values["last, reversed"] = dict.fromkeys(SEEDS, float("nan"))
    comparison = compare_variants(study.primary, values, study.references())
    matching = tables(factor_sections(study, comparison)[4])
    assert matching[2][1] == matching[2][3] == "" and matching[2][2].startswith("+1.00")
