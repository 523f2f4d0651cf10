"""The newcomer's first ten minutes, on a teacher and a corpus of toys."""

import json

import numpy as np
import pytest

from model.errors import InputError
from model.pretrained import load
from model.tasks import MaskedLM
from report import quickstart as report
from report.quickstart import ALONE, DISTILLED, RANDOM, START, TEACHER
from report.study.comparison import interval
from tests import runs
from tests.disk import full_disk
from train import quickstart as module
from train.quickstart import Quickstart, quickstart


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = runs.make_home(tmp_path)
    monkeypatch.setattr(module.recipes_distill, "distill_tiny", lambda: runs.distill_config(home))
    monkeypatch.setattr(module, "SENTENCES", ("the red [MASK] sees the dog",))
    return home


@pytest.mark.long
def test_it_leaves_a_table_a_picture_and_a_student(home, capsys):
    config = Quickstart(output=home / "out", teacher=str(home / "teacher"), steps=1)
    quickstart(config)
    printed = capsys.readouterr().out
    assert "accuracy with the teacher than without it" in printed
    summary = (config.output / "quickstart.md").read_text()
    assert summary.count("\n| ") == 7
    assert (config.output / "curves.png").is_file()
    record = json.loads((config.output / "quickstart.json").read_text())
    assert list(record["results"][0]) == [TEACHER, START, DISTILLED, ALONE, RANDOM]
    for name in ("distilled", "without-teacher", "distilled-from-random"):
        model = load(config.output / name / "model", MaskedLM)
        assert model.config.architecture == "distilbert"
    assert record["sizes"][DISTILLED]["parameters"] < record["sizes"][TEACHER]["parameters"]


def test_a_disk_that_refuses_the_table_is_reported(tmp_path):
    measured = dict.fromkeys(
        ("masked_lm_loss", "masked_lm_accuracy", "unigram_loss", "unigram_accuracy"), 0.5
    ) | {"top1_agreement": 1.0, "kl_to_teacher": 0.0, "masked_lm_accuracy": 0.7}
    results = [{TEACHER: measured, DISTILLED: measured, ALONE: measured}]
    sizes = {name: {"parameters": 1.0, "bytes": 4.0, "speed": 1.0} for name in results[0]}
    refused = pytest.raises(InputError, match=r"cannot write .*quickstart\.md: File too large")
    with refused, full_disk(100):
        report.write_summary(tmp_path, results, sizes, steps=1, seconds=1.0)
    assert not any(tmp_path.iterdir())


def test_numbers_that_leave_nothing_to_compare(tmp_path):
    with pytest.raises(InputError, match="--seeds is 0: give a number from 1 to 1000"):
        quickstart(Quickstart(output=tmp_path / "out", seeds=0))
    with pytest.raises(InputError, match="--steps is 0: give a number from 1"):
        quickstart(Quickstart(output=tmp_path / "out", steps=0))


def test_the_three_runs_differ_in_what_their_names_say():
    recipe = runs.distill_config(runs.Path("home"))
    made = module.variants(recipe)
    assert made[DISTILLED] == recipe
    assert set(made[ALONE].loss.terms()) == {"mlm"}
    assert made[ALONE].student == recipe.student
    assert made[RANDOM].student.layers == "random"
    assert made[RANDOM].loss == recipe.loss


def test_seeds_share_a_cell_with_their_interval():
    assert report.cell([0.25], 1, "%") == "25.0%"
    assert report.cell([0.25, 0.25], 1, "%") == "25.0%"
    assert report.cell([0.2, 0.3], 1, "%") == "25.0% ± 63.5%"
    # Half the distance times 12.7, and not "± 0.000".
    assert report.cell([4.0, 4.00002], 3) == "4.00001 ± 0.00013"


def test_the_interval_is_students():
    """Five values with mean 3 and standard deviation sqrt(2.5): t(0.975, 4) = 2.776."""
    expected = 2.776445 * np.sqrt(2.5) / np.sqrt(5)
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(expected, rel=1e-6)


def test_the_headline_tells_either_sign():
    def scores(distilled, alone):
        return {
            DISTILLED: {"masked_lm_accuracy": distilled, "top1_agreement": alone},
            ALONE: {"masked_lm_accuracy": alone, "top1_agreement": distilled},
        }

    assert report.headline([scores(0.22, 0.20)]) == (
        "From the same start, 2.0 points more accuracy with the teacher than without it, and 2.0 "
        "points less agreement with the teacher."
    )
    assert "3.0 points less accuracy" in report.headline([scores(0.20, 0.23)])
    both = report.headline([scores(0.22, 0.20), scores(0.23, 0.20)])
    assert "2.5 points (95 % interval ± 6.4) more accuracy" in both


def test_the_share_kept_is_counted_from_the_floor():
    scores = {
        TEACHER: {"masked_lm_accuracy": 0.30, "unigram_accuracy": 0.10},
        DISTILLED: {"masked_lm_accuracy": 0.25, "unigram_accuracy": 0.10},
    }
    assert report.kept_share(scores, DISTILLED) == pytest.approx(0.75)
