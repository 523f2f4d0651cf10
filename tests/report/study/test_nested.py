"""Variances between students and between their fine-tunings: closed forms and simulations."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from report.study.comparison import compare_variants, detectable
from report.study.folder import read_study
from report.study.nested import components, nested_sections
from tests.report.study.test_report import study_of, tables, written


def test_the_components_of_a_table_by_hand():
    # Means 2, 5, 8: their variance is 9. Within: 1, 1, 1. So between is 9 - 1 / 3.
    found = components(np.arange(1.0, 10).reshape(3, 3))
    assert found.within == 1 and found.between == pytest.approx((9 - 1 / 3) ** 0.5, rel=1e-12)
    # The means differ less than fine-tunings explain: variance 0.5, of which 8 / 2 would be chance.
    found = components(np.array([[0.0, 4], [1, 5]]))
    assert (found.between, found.within) == (0, 8**0.5)
    assert components(np.array([[0.0, 4]])).between is None


def test_the_components_are_found_in_many_simulated_students():
    random = np.random.default_rng(0)
    scores = random.normal(0, 0.03, (200_000, 1)) + random.normal(0, 0.01, (200_000, 3))
    found = components(0.7 + scores)
    assert found.between == pytest.approx(0.03, rel=0.01)
    assert found.within == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("students", [2, 5, 8])
def test_a_difference_of_the_detectable_size_is_found_four_times_in_five(students):
    """Of students and fine-tunings that vary as much as both components say."""
    random = np.random.default_rng(students)
    between, within, each, studies = 0.02, 0.03, 3, 40_000
    size = detectable((between**2 + within**2 / each) ** 0.5, students)
    of_student = random.normal(0, between, (studies, students, 1))
    differences = size + of_student + random.normal(0, within, (studies, students, each))
    _, p = stats.ttest_1samp(differences.mean(axis=2), 0, axis=1)
    assert np.mean(np.asarray(p) < 0.05) == pytest.approx(0.8, abs=0.01)


def test_every_task_has_both_deviations_and_what_could_be_found(tmp_path):
    """Two students each: too few for a test, but not for what one would have found."""
    scores = {
        "full": {1: [0.70, 0.72], 2: [0.74, 0.76]},
        "without KL": {1: [0.69, 0.71], 2: [0.74, 0.74]},
    }
    runs = [
        {
            "variant": name,
            "seed": seed,
            "metrics": {"masked_lm_accuracy": 0.2, "downstream_sst2": float(np.mean(each))},
            "fine_tunings": {"downstream_sst2": each},
        }
        for name, own in scores.items()
        for seed, each in own.items()
    ]
    study = read_study(written(tmp_path, study_of(names=[*scores], seeds=[1, 2]), runs))
    metric = "downstream_sst2"
    comparison = compare_variants(metric, study.values(metric), study.references())
    _, task, table, note = nested_sections(study, {metric: comparison})
    assert task == "### SST-2, development score"
    _, _, full, without = tables(table)
    # Means 0.71 and 0.75: variance 0.0008, less 0.0002 / 2; fine-tunings 0.0002.
    assert full == ["full", "73.00 %", "2.65 points", "1.41 points", "", "", "", ""]
    # Differences -0.01, -0.01 and 0, -0.02: the means are the same, within 0 and 0.0002.
    assert without == [
        *("without KL", "72.00 %", "2.74 points", "1.00 points"),
        *("−1.00 points", "0.00 points", "1.00 points", ""),
    ]
    assert "over the means of the students" in note
    assert nested_sections(replace(study, runs=()), {metric: comparison}) == []


def test_a_difference_below_what_could_be_found_is_not_resolved(tmp_path):
    runs = []
    for name, shifts in {"full": (0, 0), "longer": (0.01, 0.03)}.items():
        for seed, shift in enumerate(shifts, 1):
            each = [0.7 + shift, 0.72 + shift]
            metrics = {"masked_lm_accuracy": 0.2, "downstream_sst2": float(np.mean(each))}
            run = {"variant": name, "seed": seed, "metrics": metrics}
            runs.append(run | {"fine_tunings": {"downstream_sst2": each}})
    study = read_study(written(tmp_path, study_of(names=["full", "longer"], seeds=[1, 2]), runs))
    metric = "downstream_sst2"
    comparison = compare_variants(metric, study.values(metric), study.references())
    *_, longer = tables(nested_sections(study, {metric: comparison})[2])
    size = 100 * detectable(2e-4**0.5, 2)
    assert longer[4:] == [
        *("+2.00 points, not resolved", "1.41 points", "0.00 points", f"{size:.2f} points"),
    ]
