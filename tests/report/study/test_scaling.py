"""Loss against compute: made data with a known law, and what is said without one."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from report.study.report import write_study_report
from report.study.scaling import best_for_compute, fit_power_law

OPERATIONS = np.array([1e12, 2e12, 5e12, 1e13, 4e13])


def test_a_law_without_noise_is_found_again():
    law = fit_power_law(OPERATIONS, np.tile(30 * OPERATIONS**-0.07, (5, 1)))
    assert law.exponent == pytest.approx(0.07, rel=1e-9)
    assert law.factor == pytest.approx(30, rel=1e-9)
    assert law.interval < 1e-9 and law.residual < 1e-9
    assert law(3e12) == pytest.approx(30 * 3e12**-0.07)


def test_the_slope_is_that_of_least_squares_over_the_means_of_the_logarithms():
    losses = 30 * OPERATIONS**-0.07 * np.exp(np.random.default_rng(0).normal(0, 0.02, (6, 5)))
    law = fit_power_law(OPERATIONS, losses)
    means = np.log(losses).mean(axis=0)
    slope, level = np.polyfit(np.log(OPERATIONS), means, 1)
    assert law.exponent == pytest.approx(-slope)
    assert law.factor == pytest.approx(math.exp(level))
    fitted = level + slope * np.log(OPERATIONS)
    assert law.residual == pytest.approx(np.abs(np.exp(means - fitted) - 1).max())


def test_the_interval_holds_the_exponent_as_often_as_it_says():
    """Of 2,000 studies of five seeds whose noise has a part that all students of a seed share."""
    random, held, studies = np.random.default_rng(1), 0, 2000
    for _ in range(studies):
        noise = random.normal(0, 0.01, (5, 5)) + random.normal(0, 0.05, (5, 1))
        law = fit_power_law(OPERATIONS, 30 * OPERATIONS**-0.07 * np.exp(noise))
        held += abs(law.exponent - 0.07) <= law.interval
    assert abs(held / studies - 0.95) < 3 * math.sqrt(0.95 * 0.05 / studies)


def test_the_best_for_their_compute_are_on_the_lower_edge():
    operations = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0, "e": 4.0}
    losses = {"a": 5.0, "b": 4.5, "c": 4.0, "d": 4.0, "e": 3.0}
    assert best_for_compute(operations, losses) == ("a", "c", "e")


def folder_of(folder: Path, *, seeds: int = 5, students: int = 4, **changes) -> Path:
    """A study of students on a law of exponent 0.1 with A 100, and one that is above it."""
    compute = {f"s{n}": 1e12 * 4**n for n in range(students)} | {"wasteful": 6e12}
    variants = {
        name: {
            "about": name,
            "parameters": 1_000_000 * (1 + number % 2),
            "bytes": 4_000_000,
            "sentences_per_second": 500.0,
            "steps": 100 + number,
            "operations": operations,
        }
        for number, (name, operations) in enumerate(compute.items())
    }
    study = {
        "name": "scaling",
        "title": "Scaling",
        "primary": "masked_lm_loss",
        "better": "lower",
        "reference": "s0",
        "seeds": [*range(seeds)],
        "variants": variants,
        "steps": 100,
        "teacher": "teacher",
        "corpus": "text",
        "command": None,
        "seconds": 1.0,
        **changes,
    }
    (folder / "study.json").write_text(json.dumps(study))
    runs = [
        {
            "variant": name,
            "seed": seed,
            "metrics": {
                "masked_lm_loss": 100 * operations**-0.1 * math.exp(0.001 * (-1) ** number * seed)
                + (name == "wasteful")
            },
        }
        for number, (name, operations) in enumerate(compute.items())
        for seed in range(seeds)
    ]
    (folder / "results.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    return folder


def test_the_report_has_law_picture_and_operations(tmp_path):
    text = write_study_report(folder_of(tmp_path)).read_text()
    assert re.search(
        "4 of 5 students are the best for their compute; of these the held-out masked-LM loss "
        r"falls as compute to the power of −0\.\d{4,5} ± 0\.00\d{2,3} \(95 % t interval over 5 "
        r"seeds\), and no mean is more than 0\.\d+ % from that law\.",
        text,
    )
    assert "![Held-out loss against the operations of training](scaling.png)" in text
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
    assert "| operations |" in text and "| 1.6e+13 |" in text
    record = json.loads((tmp_path / "results.json").read_text())["scaling"]
    assert record["best"] == ["s0", "s1", "s2", "s3"]
    assert record["law"]["exponent"] == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"students": 2}, "2 of 3 students are the best for their compute, and a law needs 3."),
        ({"seeds": 3}, "but its interval needs 5 seeds, and there are results of 3 seeds."),
    ],
)
def test_without_enough_students_or_seeds_it_says_why_there_is_no_law(tmp_path, shape, why):
    text = write_study_report(folder_of(tmp_path, **shape)).read_text()
    assert "No power law of the compute is fitted: " in text and why in text
    assert (tmp_path / "scaling.png").exists()


def test_a_study_without_counted_operations_has_no_such_section(tmp_path):
    folder = folder_of(tmp_path)
    record = json.loads((folder / "study.json").read_text())
    for variant in record["variants"].values():
        del variant["operations"]
    (folder / "study.json").write_text(json.dumps(record))
    (folder / "scaling.png").touch()  # of an earlier report
    assert "Loss against compute" not in write_study_report(folder).read_text()
    assert not (folder / "scaling.png").exists()
