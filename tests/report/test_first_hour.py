"""A run's first updates beside the bands of its recipe."""

import pytest

from data.storage.provenance import to_jsonable
from report.first_hour import DeviceSpeed, FirstHour, Milestone
from report.run import write_report
from tests.report.test_run import CONFIG, heldout_row, run_folder, train_row
from train.config import TextConfig
from train.recipes import recipes_by_name

ROWS = [heldout_row(0, 9, 0.1), *map(train_row, range(1, 31))]
# Medians after 30 updates of train_row: a loss of 9 exp(-2.05), a norm of 1 + exp(-2.05).
BANDS = FirstHour(
    milestones=(
        Milestone(10, loss=(4.0, 7.0), grad_norm=(1.0, 3.0)),
        Milestone(30, loss=(0.1, 1.0), grad_norm=(1.0, 3.0)),
        Milestone(40, loss=(0.0, 0.0), grad_norm=(0.0, 0.0)),
    ),
    speeds=(DeviceSpeed("cp", (100.0, 130.0)), DeviceSpeed("TPU", (1.0, 2.0))),
    source="predicted by a test",
)


def section(folder, bands) -> str:
    config = CONFIG | {"first_hour": to_jsonable(bands)}
    text = write_report(run_folder(folder, ROWS, config)).read_text()
    return text.partition("## The first hour")[2].partition("\n## ")[0]


def test_what_is_outside_its_band_is_named(tmp_path):
    text = section(tmp_path / "run", BANDS)
    assert text.strip().startswith(
        "Not where it is expected: loss after 30 updates. Look at the curves first."
    )
    assert "predicted by a test" in text
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert rows[2:] == [
        ["loss after 10 updates", "5.199", "4 to 7", "inside"],
        ["norm of the gradient after 10 updates", "1.578", "1 to 3", "inside"],
        ["tokens of text a second after 10 updates", "500", "400 to 520", "inside"],
        ["loss after 30 updates", "1.16", "0.1 to 1", "outside"],
        ["norm of the gradient after 30 updates", "1.129", "1 to 3", "inside"],
        ["tokens of text a second after 30 updates", "500", "400 to 520", "inside"],
    ]


@pytest.mark.long
def test_all_inside_is_said_and_nothing_without_bands_or_before_the_first(tmp_path):
    one = FirstHour(BANDS.milestones[:1], (), "predicted")
    assert section(tmp_path / "one", one).strip().startswith("All numbers are where they are")
    later = FirstHour(BANDS.milestones[2:], (), "predicted")
    assert section(tmp_path / "later", later) == section(tmp_path / "none", None) == ""


@pytest.mark.parametrize("name", ["distilbert-base-uncased", "wikitext-103", "bert-base-uncased"])
def test_large_recipes_have_bands_and_pinned_text(name):
    config = recipes_by_name()[name]()
    assert isinstance(config, TextConfig)
    bands = config.first_hour
    assert bands is not None
    assert [milestone.update for milestone in bands.milestones] == [100, 1000, 5000]
    for band in (b for m in bands.milestones for b in (m.loss, m.grad_norm)):
        assert 0 < band[0] < band[1]
    pins = [name.partition("@")[2] for name in config.data.corpus]
    assert all(len(pin) == 40 or pin == "refs/convert/parquet" for pin in pins)


def test_recipes_that_change_a_large_one_do_not_have_its_bands():
    kept = {"distilbert-base-uncased", "wikitext-103", "bert-base-uncased"}
    recipes = {key: make() for key, make in recipes_by_name().items()}
    assert {key for key, config in recipes.items() if getattr(config, "first_hour", None)} == kept
