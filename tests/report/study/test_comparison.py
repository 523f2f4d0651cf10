import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from report.study.comparison import ALPHA, Comparison, compare_variants, detectable, holm

SEEDS = range(1, 8)


def measured(shift: float, seed: int, noise: float = 0.01) -> dict[int, float]:
    values = 0.25 + shift + noise * np.random.default_rng(seed).normal(size=len(SEEDS))
    return dict(zip(SEEDS, values.tolist(), strict=True))


VALUES = {"all": measured(0, 1), "less": measured(-0.03, 2), "same": measured(0.001, 3)}


def difference(comparison: Comparison, name: str) -> Any:
    found = comparison.rows[name].difference
    assert found is not None
    return found


def test_interval_and_p_are_those_of_the_paired_t_test():
    comparison = compare_variants("accuracy", VALUES, "all")
    base = list(VALUES["all"].values())
    for name in ("less", "same"):
        values = list(VALUES[name].values())
        test = stats.ttest_rel(values, base)
        low, high = test.confidence_interval(0.95)
        found = difference(comparison, name)
        assert found.p == pytest.approx(test.pvalue, rel=1e-9)
        assert found.mean - found.interval == pytest.approx(low, rel=1e-9)
        assert found.mean + found.interval == pytest.approx(high, rel=1e-9)
        assert comparison.rows[name].mean == pytest.approx(np.mean(values))
        assert comparison.rows[name].values == VALUES[name]
        assert found.values[3] == VALUES[name][3] - VALUES["all"][3]
    assert comparison.rows["all"].difference is None
    assert difference(comparison, "less").distinguishable
    assert not difference(comparison, "same").distinguishable


def closed_test(p_values: list[float]) -> list[float]:
    """Holm by definition: the largest Bonferroni p of all the sets of hypotheses with this one."""
    places = range(len(p_values))
    sets = [s for size in places for s in combinations(places, size + 1)]
    bonferroni = {s: min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets}
    return [max(p for s, p in bonferroni.items() if place in s) for place in places]


@pytest.mark.parametrize(
    "p_values",
    [
        [],
        [0.04],
        [0.01, 0.04, 0.03, 0.005],
        [0.02, 0.02, 0.02],
        [0.9, 0.5, 0.7],
        np.random.default_rng(0).uniform(0, 0.1, size=7).tolist(),
    ],
)
def test_holm_is_the_closed_test_over_bonferroni(p_values):
    assert holm(p_values) == pytest.approx(closed_test(p_values))


def test_all_variants_of_a_comparison_are_corrected_together():
    together = compare_variants("accuracy", VALUES, "all")
    found = [difference(together, name) for name in ("less", "same")]
    assert [each.p_holm for each in found] == pytest.approx(holm([each.p for each in found]))
    alone = compare_variants("accuracy", {name: VALUES[name] for name in ("all", "less")}, "all")
    assert difference(alone, "less").p_holm == difference(alone, "less").p


def test_each_variant_is_compared_with_its_own_reference_and_all_are_corrected_together():
    other = {"all 2": measured(0.1, 4), "less 2": measured(0.07, 5)}
    references = {"all": "all", "less": "all", "same": "all", "all 2": "all 2", "less 2": "all 2"}
    found = compare_variants("accuracy", VALUES | other, references)
    assert found.groups() == {"all": ["less", "same"], "all 2": ["less 2"]}
    assert found.rows["all 2"].difference is None
    test = stats.ttest_rel([*other["less 2"].values()], [*other["all 2"].values()])
    assert difference(found, "less 2").p == pytest.approx(test.pvalue, rel=1e-9)
    each = [difference(found, name) for name in ("less", "same", "less 2")]
    assert [one.p_holm for one in each] == pytest.approx(holm([one.p for one in each]))


def test_a_difference_of_the_detectable_size_is_found_in_80_per_cent_of_simulations():
    rng = np.random.default_rng(0)
    for count in (5, 12):
        size = detectable(2.0, count)
        samples = rng.normal(size, 2.0, size=(20_000, count))
        t = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / math.sqrt(count))
        share = np.mean(np.abs(t) > stats.t.ppf(1 - ALPHA / 2, count - 1))
        assert share == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 20_000))


def test_the_detectable_difference_of_many_seeds_is_that_of_the_normal_distribution():
    normal = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 3.0 / math.sqrt(2000)
    assert detectable(3.0, 2000) == pytest.approx(normal, rel=1e-3)
    # Cohen 1988: d = 0.5 needs 34 pairs.
    assert detectable(1.0, 34) < 0.5 < detectable(1.0, 33)
    # Without any true difference alpha is reached, half of it on either side.
    assert detectable(1.0, 5, power=ALPHA + 1e-4) < 0.03


@pytest.mark.parametrize("count", [2, 3, 5, 50])
@pytest.mark.parametrize("power", [0.1, 0.5, 0.99])
def test_every_power_is_reached(count, power):
    assert 0 < detectable(1.0, count, power=power) < math.inf


def test_the_comparison_is_over_the_seeds_that_all_variants_share():
    late = {seed: value for seed, value in VALUES["less"].items() if seed > 2}
    comparison = compare_variants("accuracy", {**VALUES, "less": late, "never": {}}, "all")
    assert comparison.seeds == (3, 4, 5, 6, 7)
    assert "never" not in comparison.rows
    assert len(comparison.rows["all"].values) == 7
    whole = [VALUES["all"][seed] for seed in comparison.seeds]
    assert comparison.rows["all"].mean == pytest.approx(np.mean(whole))
    assert set(difference(comparison, "same").values) == {3, 4, 5, 6, 7}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_fewer_than_five_seeds_have_values_and_no_interval(count):
    few = {name: dict(list(values.items())[:count]) for name, values in VALUES.items()}
    found = difference(compare_variants("accuracy", few, "all"), "less")
    assert len(found.values) == count
    assert (found.interval, found.p, found.p_holm, found.detectable) == (None,) * 4
    assert not found.distinguishable


def test_differences_that_do_not_vary_are_not_tested():
    exact = {seed: seed / 10 for seed in SEEDS}
    shifted = {seed: value + 0.1 for seed, value in exact.items()}  # but for rounding the same
    compared = compare_variants(
        "x", {"all": exact, "copy": exact, "up": shifted, "a": VALUES["less"]}, "all"
    )
    for name, mean in (("copy", 0.0), ("up", 0.1)):
        found = difference(compared, name)
        assert found.mean == pytest.approx(mean)
        assert (found.deviation, found.interval, found.p_holm) == (0.0, None, None)
    tested = difference(compared, "a")
    assert tested.p_holm == tested.p  # the others are no hypotheses


def test_a_value_that_is_not_finite_takes_its_variant_out_and_no_seed():
    broken = {**VALUES["less"], 3: math.nan}
    comparison = compare_variants("loss", {**VALUES, "less": broken}, "all")
    assert comparison.seeds == tuple(SEEDS)
    assert comparison.rows["less"].mean is None
    assert comparison.rows["less"].difference is None
    assert math.isnan(comparison.rows["less"].values[3])
    same = difference(comparison, "same")
    assert same.p_holm == same.p
    without = compare_variants("loss", {**VALUES, "all": broken}, "all")
    assert all(row.difference is None for row in without.rows.values())


@pytest.mark.parametrize(
    "values", [{}, {"all": {}}, {"less": {1: 0.5}}, {"all": {1: 0.5}, "less": {2: 0.5}}]
)
def test_where_nothing_can_be_compared_there_are_no_differences(values):
    comparison = compare_variants("accuracy", values, "all")
    assert all(row.difference is None for row in comparison.rows.values())


def test_one_variant_is_only_measured():
    rows = compare_variants("accuracy", {"all": VALUES["all"]}, "all").rows
    assert rows["all"].mean == pytest.approx(np.mean(list(VALUES["all"].values())))
    assert rows["all"].difference is None
