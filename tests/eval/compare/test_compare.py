"""Runs and studies side by side."""

import csv
import json
import re
from pathlib import Path

import pytest

from eval.compare.__main__ import CompareConfig, compare_runs
from eval.compare.tables import differing_settings
from model.errors import InputError
from tests.report.study.test_report import runs_of, study_of, written
from tests.report.test_run import CONFIG, ROWS, run_folder

BETTER = [{**row, "masked_lm_loss": 2.0} if row["kind"] == "heldout" else row for row in ROWS]
OTHER = {
    **CONFIG,
    "teacher": "another",
    "data": {"corpus": ["a|b"], "sequence_length": 64, "mode": "lines"},
}
TUNED = {**CONFIG, "kind": "finetune", "task": "sst2", "model": "m"}


@pytest.fixture
def compare(tmp_path: Path):
    """Compares folders of this test's folder."""

    def run(*names: str, output: str = "comparison"):
        folders = tuple(tmp_path / name for name in names)
        return compare_runs(CompareConfig(runs=folders, output=tmp_path / output))

    return run


def table(text: str, title: str) -> dict[str, list[str]]:
    """The rows of a table in comparison.md, by their first cell."""
    _, _, rest = text.partition(f"## {title}\n\n")
    rows = [line.strip("| ").split(" | ") for line in rest.partition("\n\n")[0].splitlines()]
    return {row[0].replace("\\", ""): row[1:] for row in rows[2:]}


def test_two_runs(tmp_path: Path, compare, capsys) -> None:
    run_folder(tmp_path / "one")
    run_folder(tmp_path / "two", BETTER, OTHER)
    one, two = compare("one", "two")
    assert (one.name, two.name) == ("one", "two")
    text = (tmp_path / "comparison/comparison.md").read_text()
    metrics = table(text, "Metrics")
    assert metrics["masked-LM loss (nats)"] == ["3.500", "2.000", "−1.500 nats"]
    assert metrics["masked-LM accuracy"] == ["37.5 %", "37.5 %", "+0.00 points"]
    assert metrics["updates"][:2] == ["40 of 40", "40 of 40"]
    # What is equal, and where the runs lie, is left out; what only one has is a dash.
    assert table(text, "Settings that differ") == {
        "teacher": ["assets/bert-tiny", "another"],
        "data.mode": ["–", "lines"],
    }
    assert "The data differ" in text and "The data differ" in capsys.readouterr().out
    with (tmp_path / "comparison/comparison.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["masked_lm_loss"], second["masked_lm_loss"]) == ("3.5", "2.0")
    assert (first["data.mode"], second["data.mode"]) == ("", "lines")
    page = (tmp_path / "comparison/comparison.html").read_text()
    assert "−1.500 nats" in page and 'src="data:image/png;base64,' in page
    assert not re.findall(r"https?:|src=\"(?!data:)|<link", page)


def test_the_curves_lie_over_each_other(tmp_path: Path, compare, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(
        "report.plots.plot_panels",
        lambda path, panels, **_: drawn.extend(panels) or path.write_bytes(b"png"),
    )
    run_folder(tmp_path / "one")
    run_folder(tmp_path / "two", BETTER)
    compare("one", "two")
    panels = {panel.ylabel: panel for panel in drawn}
    loss = panels["masked-LM loss (nats)"]
    assert loss.curves == {
        "one": [(0, 9.0), (20, 3.25), (40, 3.5)],
        "two": [(0, 2.0), (20, 2.0), (40, 2.0)],
    }
    assert loss.floor == 6.25 and panels["KL to teacher (nats)"].floor is None
    assert panels["masked-LM accuracy"].share


def test_the_model_that_is_kept_is_the_one_compared(tmp_path: Path, compare) -> None:
    run_folder(tmp_path / "one")
    run_folder(tmp_path / "best", config={**CONFIG, "report": "best"})
    final, best = compare("one", "best")
    assert final.metrics["masked_lm_loss"] == 3.5
    assert best.metrics["masked_lm_loss"] == 3.25


def test_the_variants_of_a_study(tmp_path: Path, compare) -> None:
    study = study_of()
    study["base"] = {"batch_size": 32, "loss": {"ce": {"weight": 5.0}}, "output": "x"}
    study["variants"]["without KL"]["settings"] = {"loss.ce.weight": 0}
    written(tmp_path / "study", study)
    sides = compare("study")
    assert [side.name for side in sides] == [*study["variants"]]
    text = (tmp_path / "comparison/comparison.md").read_text()
    # By hand: the standard deviation 0.00707 of the five values, times 2.776 / √5.
    assert table(text, "Metrics")["masked-LM accuracy"][0] == "25.00 % ± 0.88"
    assert table(text, "Settings that differ") == {"loss.ce.weight": ["5.0", "0", "5.0", "5.0"]}
    assert sides[0].curves["masked_lm_accuracy"] == [(0, 0.0), (100, 0.125), (200, 0.25)]


def test_two_studies(tmp_path: Path, compare) -> None:
    names = ("full", "longer")
    runs = [run for run in runs_of(seeds=(1, 2)) if run["variant"] in names]
    for folder, rate in (("a/study", 1e-3), ("b/study", 1e-4)):
        (tmp_path / folder).parent.mkdir()
        written(tmp_path / folder, study_of(names, seeds=[1, 2], base={"rate": rate}), runs)
    sides = compare("a/study", "b/study")
    assert [side.name for side in sides] == [
        f"{folder}/study: {name}" for folder in "ab" for name in names
    ]
    assert not sides[0].intervals  # of two seeds
    assert differing_settings(sides).lines == [["rate", "0.001", "0.001", "0.0001", "0.0001"]]


def test_what_cannot_be_compared_is_said_in_a_sentence(tmp_path: Path, compare) -> None:
    run_folder(tmp_path / "one")
    run_folder(tmp_path / "two")
    run_folder(tmp_path / "waiting", ROWS[1:21])
    tuned = [{"step": 0, "kind": "heldout", "seconds": 1.0, "score": 0.5, "accuracy": 0.5}]
    run_folder(tmp_path / "tuned", tuned, TUNED)
    causal = [{"step": 0, "kind": "heldout", "seconds": 1.0, "next_token_loss": 3.0}]
    run_folder(tmp_path / "causal", causal)
    written(tmp_path / "study")
    written(tmp_path / "begun", runs=[])
    run_folder(tmp_path / "seeds-dir").rename(tmp_path / "seed-1")
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seed-1").rename(tmp_path / "seeds/seed-1")
    (tmp_path / "empty").mkdir()
    for names, sentence in {
        (): "RUN is missing: name the folders of two or more runs",
        ("one",): "one is a single run: name two or more, or a study",
        ("one/model", "two"): "one/model is the model of a run: name .*one$",
        ("one", "one"): "RUN names .*one a second time",
        ("one", "waiting"): "waiting has no held-out metrics to compare: it was never evaluated",
        ("one", "tuned"): "one is a training on text and tuned a fine-tuning for sst2",
        ("one", "study"): "one is a training on text and study: full a study",
        ("one", "causal"): "one and causal have no metric in common",
        ("one", "begun"): "begun has no results to compare",
        ("one", "seeds"): "seeds has a run for each seed: name them, .*seed-1 and so on",
        ("one", "empty"): "empty is no run folder: it has no config.json",
        ("one", "nowhere"): "nowhere is no run folder",
    }.items():
        with pytest.raises(InputError, match=sentence) as refused:
            compare(*names)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "comparison").exists()
    with pytest.raises(InputError, match="is a file: give the name of a folder"):
        compare("one", "two", output="one/config.json")


def test_names_of_others_mean_nothing_to_the_page(tmp_path: Path, compare) -> None:
    name = "<script>alert(1)<|b"
    study = json.loads(json.dumps(study_of()).replace("longer", name))
    runs = json.loads(json.dumps(runs_of()).replace("longer", name))
    written(tmp_path / "study", study, runs)
    compare("study")
    assert "<script>alert" not in (tmp_path / "comparison/comparison.html").read_text()
