"""The report of a study: its sentences, tables, files and pictures."""

import csv
import json
import math
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.errors import InputError
from report.study import plots as study_plots
from report.study.report import write_study_report
from tests.disk import edited_by_hand, written_or_refused

REFERENCE = [0.24, 0.25, 0.26, 0.25, 0.25]
# Intervals by hand: standard deviations 0.000707, 0.001936 and 0.000707, times 2.776 / √5.
DIFFERENCES = {
    "full": [0.0] * 5,
    "without KL": [-0.03, -0.031, -0.029, -0.03, -0.03],
    "without MLM": [0.001, -0.001, 0.002, -0.002, 0.0025],
    "longer": [0.01, 0.011, 0.009, 0.01, 0.01],
}


SIZE = {"parameters": 2_000_000, "bytes": 8_000_000, "sentences_per_second": 501.0}
VARIANT = {"about": "", **SIZE}


def study_of(names=tuple(DIFFERENCES), **changes) -> dict[str, Any]:
    return {
        "name": "losses",
        "title": "What each loss is worth",
        "primary": "masked_lm_accuracy",
        "better": "higher",
        "reference": "full",
        "seeds": [1, 2, 3, 4, 5],
        "variants": {name: {"about": f"{name}|it is", **SIZE} for name in names},
        "steps": 200,
        "teacher": "assets/teacher",
        "corpus": "pydocs",
        "command": "python -m train.ablate losses",
        "seconds": 90.0,
        "unknown": {"kept": True},
        **changes,
    }


def runs_of(differences=DIFFERENCES, seeds=(1, 2, 3, 4, 5)) -> list[dict[str, Any]]:
    runs = []
    for name, shifts in differences.items():
        for seed in seeds:
            accuracy = REFERENCE[seed - 1] + shifts[seed - 1]
            metrics = {
                "masked_lm_accuracy": accuracy,
                "masked_lm_loss": 10 - 20 * accuracy,
                "top1_agreement": 2 * accuracy,
                "clipped_share": 0.25,
                "loss_ce": 4.5,
                "downstream_sst2": accuracy + 0.5,
            }
            curve = [
                [step, {"masked_lm_accuracy": accuracy * step / 200}] for step in (0, 100, 200)
            ]
            runs.append({"variant": name, "seed": seed, "metrics": metrics, "curve": curve})
    return runs


def written(folder: Path, study=None, runs=None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(study or study_of()))
    lines = [json.dumps(run) + "\n" for run in (runs_of() if runs is None else runs)]
    (folder / "results.jsonl").write_text("".join(lines))
    return folder


def report_of(folder: Path, study=None, runs=None) -> str:
    return write_study_report(written(folder, study, runs)).read_text()


def first_sentence(text: str) -> str:
    return text.split("\n\n")[1]


def tables(text: str) -> list[list[str]]:
    return [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in text.split("\n") if line[:1] == "|"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A whole study with real pictures."""
    before = dict(matplotlib.rcParams)
    folder = written(tmp_path_factory.mktemp("studies") / "losses")
    report = write_study_report(folder)
    assert dict(matplotlib.rcParams) == before
    return report.parent


@pytest.fixture(autouse=True)
def figures(monkeypatch) -> dict[str, Figure]:
    """What a report of the test draws, by file name; empty files stand for the pictures."""
    drawn = {}

    def keep(figure: Figure, path: Path) -> None:
        drawn[path.name] = figure
        path.touch()

    monkeypatch.setattr(study_plots, "save_figure", keep)
    return drawn


def test_the_report_opens_with_what_came_out(folder):
    title, conclusion, scope, *_ = (folder / "report.md").read_text().split("\n\n")
    assert title == "# What each loss is worth"
    assert conclusion == (
        "Against “full” (masked-LM accuracy 25.00 %, 5 seeds), “without KL” (−3.000 ± 0.088 "
        "points) is worse; “longer” (+1.000 ± 0.088 points) is better; “without MLM” (+0.05 ± 0.24 "
        "points) cannot be told from it after Holm's correction."
    )
    assert scope.startswith(
        "Intervals and p values hold for this teacher (`assets/teacher`) and this corpus (pydocs)"
    )


def test_a_row_a_variant(folder):
    rows = tables((folder / "report.md").read_text())
    assert rows[0][:5] == ["", "mean", "difference", "p (Holm)", "detectable"]
    beside = ["top-1 agreement with teacher", "share of updates clipped"]
    assert rows[0][5:] == [*beside, "T² KL to teacher (nats a token)"]
    assert rows[2] == ["full", "25.00 %", "reference", "", "", "50.00 %", "25.00 %", "4.500"]
    # 0.12: the detectable difference of 5 seeds is 1.682 standard deviations (a table of power).
    assert rows[3][:5] == [
        "without KL",
        "22.00 %",
        "−3.000 ± 0.088 points",
        "< 0.001",
        "0.12 points",
    ]
    assert rows[4][:3] == ["without MLM", "25.05 %", "+0.05 ± 0.24 points, not resolved"]
    assert float(rows[4][3]) > 0.5
    assert ["without KL", "21.00 %", "21.90 %", "23.10 %", "22.00 %", "22.00 %"] in rows
    assert ["longer", "longer\\|it is", "", "2.00 M", "8.0 MB", "501"] in rows


def test_losses_of_different_temperatures_are_not_put_side_by_side(tmp_path):
    """T² KL at T 2 and T 8 are not two values of one thing; another weight changes nothing."""
    study = study_of(base={"loss": {"ce": {"temperature": 2.0}}})
    study["variants"]["longer"]["settings"] = {"loss.ce.weight": 1}
    text = report_of(tmp_path, study)
    assert tables(text)[0][-1] == "T² KL to teacher (nats a token)"
    assert "side by side" not in text
    for own in ({"loss.ce.temperature": 8, "loss.cos.weight": 2}, {"masking.smoothing": 0.7}):
        study["variants"]["longer"]["settings"] = own
        text = report_of(tmp_path, study)
        assert "4.500" not in text
        assert f"side by side: T² KL to teacher ({next(iter(own))})" in text.replace("\\", "")


def test_what_could_not_be_resolved_is_said(tmp_path):
    rows = tables(report_of(tmp_path))
    assert rows[4][2] == "+0.05 ± 0.24 points, not resolved"
    assert rows[3][2] == "−3.000 ± 0.088 points"


def test_seeds_that_were_added_later_are_told(tmp_path):
    added = [{"seeds": [4, 5], "after": 3, "on": "2026-11-30"}]
    text = report_of(tmp_path, study_of(seeds_added=added))
    assert (
        "4 and 5: seeds that were added on 2026-11-30 after the results of 3 seeds had been seen"
    ) in text
    assert "had been seen" not in report_of(tmp_path)


def test_every_variant_has_its_settings_and_updates(tmp_path):
    study = study_of(file="own.toml")
    study["variants"]["longer"] |= {"settings": {"loss.cos.weight": [0, 3]}, "steps": 400}
    text = report_of(tmp_path, study)
    rows = tables(text)
    [longer] = [row for row in rows if row[0] == "longer" and "2.00 M" in row]
    assert longer[2:4] == ["loss.cos.weight = 0 to 3", "400"]
    [full] = [row for row in rows if row[0] == "full" and "2.00 M" in row]
    assert full[2:4] == ["", "200"]
    assert "declared in `study.toml`" in text


def test_an_empty_cell_is_explained(tmp_path):
    runs = runs_of()
    assert "it was not computed" not in report_of(tmp_path, runs=runs)
    for run in runs[-5:]:
        del run["metrics"]["loss_ce"]
    text = report_of(tmp_path, runs=runs)
    assert tables(text)[5][-1] == ""
    assert "A training loss is empty where the variant does not learn from it" in text


def test_an_interval_is_never_printed_as_nothing(tmp_path):
    small = [1e-6 * shift for shift in (3, 4, 2, 3, 3.5)]  # of a loss: -20 times that
    rows = tables(report_of(tmp_path, runs=runs_of({**DIFFERENCES, "longer": small})))
    assert rows[5][2] == "+0.000310 ± 0.000092 points"
    assert rows[5][4] == "0.00012 points"
    assert "5.000 (−0.000062 ± 0.000018)" in [cell for row in rows for cell in row]


def test_the_conditions_are_told(tmp_path):
    base = {
        "batch_size": 16,
        "data": {"sequence_length": 64, "mode": "packed"},
        "optimizer": {"learning_rate": 1e-3},
        "masking": {"smoothing": 0.0},
    }
    origin = {
        "started": "2026-11-24T22:42:31+00:00",
        "git": {"commit": "b7fa8202886f", "dirty": True},
        "versions": {"python": "3.11.7", "jax": "0.10.2"},
        "platform": "Linux",
        "cpu_cores": 2,
        "devices": {"platform": "cpu", "kind": "cpu", "count": 1},
    }
    rows = tables(report_of(tmp_path, study_of(base=base, provenance=origin)))
    for row in (
        ["sequences an update", "16"],
        ["tokens in a sequence", "64"],
        ["learning rate (peak)", "0.001"],
        ["smoothing of the masks", "0"],
        ["hardware", "2 CPU cores, Linux"],
        ["versions", "python 3.11.7 and jax 0.10.2"],
        ["commit", "b7fa820288 with changes"],
        ["begun", "2026-11-24"],
        ["time, with compilation and evaluation", "90 s"],
    ):
        assert row in rows


def test_the_p_values_shown_are_corrected(tmp_path):
    same = dict.fromkeys(DIFFERENCES, DIFFERENCES["without MLM"])
    rows = tables(report_of(tmp_path, runs=runs_of({**same, "full": [0.0] * 5})))
    # 3 times 2 P(T > 0.0005 √5 / 0.001936) = 3 times 0.595, which is not below 1
    assert [row[3] for row in rows[3:6]] == ["1.000"] * 3


def test_the_other_metrics_have_their_differences(folder):
    rows = tables((folder / "report.md").read_text())
    header = next(row for row in rows if "masked-LM loss (nats)" in row)
    assert header[3] == "SST-2, development score"
    row = next(row for row in rows[rows.index(header) :] if row[0] == "without KL")
    assert row[1] == "5.600 (+0.600 ± 0.018)"
    assert row[3] == "72.00 % (−3.000 ± 0.088)"


def test_every_value_is_in_the_json_and_a_row_a_variant_in_the_csv(folder):
    record = json.loads((folder / "results.json").read_text())
    assert record["conclusion"] == first_sentence((folder / "report.md").read_text())
    assert [(r["variant"], r["seed"], r["metrics"]) for r in record["runs"]] == [
        (r["variant"], r["seed"], r["metrics"]) for r in runs_of()
    ]
    assert record["study"] == study_of()
    primary = record["comparisons"]["masked_lm_accuracy"]
    with (folder / "table.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(DIFFERENCES)
    entry = primary["rows"]["without MLM"]
    row = rows["without MLM"]
    assert float(row["masked_lm_accuracy"]) == entry["mean"] == pytest.approx(0.2505)
    assert float(row["difference"]) == entry["difference"]["mean"] == pytest.approx(0.0005)
    assert float(row["interval"]) == entry["difference"]["interval"]
    assert float(row["p_holm"]) == entry["difference"]["p_holm"]
    assert float(row["downstream_sst2"]) == pytest.approx(0.7505)
    assert rows["full"]["difference"] == ""


def test_a_metric_where_lower_is_better_turns_the_sentence_round(tmp_path):
    study = study_of(primary="masked_lm_loss", better="lower")
    assert first_sentence(report_of(tmp_path, study)) == (
        "Against “full” (masked-LM loss 5.000, 5 seeds), “without KL” (+0.600 ± 0.018 nats) "
        "is worse; “longer” (−0.200 ± 0.018 nats) is better; “without MLM” (−0.010 ± 0.048 nats) "
        "cannot be told from it after Holm's correction."
    )


def test_several_that_lose_are_listed_from_the_worst_on(tmp_path):
    worse = {**DIFFERENCES, "longer": [10 * d for d in DIFFERENCES["without KL"]]}
    assert "“longer” (−30.00 ± 0.88 points) is worst, then “without KL” (−3.00" in first_sentence(
        report_of(tmp_path, runs=runs_of(worse))
    )


def test_fewer_than_five_seeds_have_no_intervals(tmp_path):
    text = report_of(tmp_path, study_of(seeds=[1, 2]), runs_of(seeds=(1, 2)))
    assert first_sentence(text) == (
        "With 2 seeds, too few to tell a difference from chance, the masked-LM accuracy differs "
        "from that of “full” (24.50 %), from worst to best, by these means: “without KL” (−3.05 "
        "points), “without MLM” (+0.00 points) and “longer” (+1.05 points)."
    )
    assert "With fewer than 5 seeds there are values, but no intervals." in text
    rows = tables(text)
    assert rows[3][2:5] == ["−3.05 points", "", ""]
    assert not any("±" in cell for row in rows for cell in row)


def test_what_is_missing_is_named(tmp_path):
    runs = [run for run in runs_of() if run["variant"] != "longer"]
    del runs[9]  # seed 5 without KL
    text = report_of(tmp_path, runs=runs)
    assert "Not measured yet: “longer”." in text
    assert "over 4 of 5 seeds: not every variant has a value for 5." in text
    assert "14 of 20 students done" in text
    assert ["without KL", "21.00 %", "21.90 %", "23.10 %", "22.00 %", ""] in tables(text)


def test_a_student_that_diverged_is_named(tmp_path):
    runs = runs_of()
    runs[7]["metrics"]["masked_lm_accuracy"] = math.nan
    text = report_of(tmp_path, runs=runs)
    assert "“without KL” has a value that is not finite." in first_sentence(text)
    assert "“without KL” is not compared: its value is not finite with seed 3." in text


def test_a_copy_of_the_reference_is_not_tested(tmp_path):
    text = report_of(tmp_path, runs=runs_of({**DIFFERENCES, "longer": [0.0] * 5}))
    assert "“longer” equals the reference in every seed, which a t test cannot judge." in text


@pytest.mark.parametrize("runs", [[], runs_of()[5:], runs_of()[:1], runs_of()[:6]])
def test_any_part_of_a_study_makes_a_report(tmp_path, runs):
    text = report_of(tmp_path, runs=runs)
    assert first_sentence(text).endswith(".")
    assert "nan" not in text and "None" not in text


def test_published_deltas_are_compared_by_sign_and_order(tmp_path):
    study = study_of()
    for name, delta in (("without KL", -2.96), ("without MLM", -0.31), ("longer", -3.69)):
        study["variants"][name]["published"] = {"delta": delta, "unit": "GLUE points"}
    text = report_of(tmp_path, study)
    assert (
        "The sign is the published one in 1 of 3 variants (in 1 of the 2 that can be told from the "
        "reference). From worst to best the published order is “longer”, “without KL” and “without "
        "MLM”, here “without KL”, “without MLM” and “longer”. Only sign and order"
    ) in text
    assert tables(text)[3][5] == "−2.96 GLUE points"


def test_variants_under_two_conditions_are_compared_inside_each(tmp_path, figures):
    names = ["full", "without KL", "full, no clip", "without KL, no clip"]
    shifts = {
        "full": [0.0] * 5,
        "without KL": DIFFERENCES["without KL"],
        "full, no clip": [-0.1] * 5,
        "without KL, no clip": [shift - 0.1 for shift in DIFFERENCES["longer"]],
    }
    study = study_of(names)
    for name in names[1::2]:
        study["variants"][name]["published"] = {"delta": -2.96, "unit": "GLUE points"}
    study["variants"][names[3]]["against"] = names[2]
    text = report_of(tmp_path, study, runs_of(shifts))
    assert first_sentence(text) == (
        "Against “full” (masked-LM accuracy 25.00 %, 5 seeds), “without KL” (−3.000 ± 0.088 "
        "points) is worse. Against “full, no clip” (masked-LM accuracy 15.00 %, 5 seeds), “without "
        "KL, no clip” (+1.000 ± 0.088 points) is better."
    )
    rows = tables(text)
    assert [row[2] for row in rows[2:6]] == [
        "reference", "−3.000 ± 0.088 points", "reference", "+1.000 ± 0.088 points",
    ]  # fmt: skip
    assert "Against “full”: The sign is the published one in 1 of 1 variants" in text
    assert "Against “full, no clip”: The sign is the published one in 0 of 1 variants" in text
    last = figures["curves.png"].axes[3]
    assert list(last.get_lines()[-1].get_ydata()) == pytest.approx([0, 0.075, 0.15])


@pytest.mark.parametrize(
    ("study", "runs", "message"),
    [
        (
            {"variants": {"full": VARIANT, "a": VARIANT | {"against": "b"}}},
            None,
            "'a' is compared with 'b', which must be a variant that is compared with no other",
        ),
        ({"reference": "fool"}, None, "the reference 'fool' is no variant"),
        ({"primary": "accuracy"}, None, "no run has the primary metric 'accuracy'; there are clip"),
        ({"better": "more"}, None, "better is 'more', and must be 'higher' or 'lower'"),
        ({"seeds": [1, "2"]}, None, "study.json: seeds.1 is '2', and must be an integer"),
        ({"steps": "many"}, None, "study.json: steps is 'many', and must be an integer"),
        ({"teacher": None}, None, "study.json: teacher is None, and must be text in quotes"),
        ({"variants": {"full": {}}}, None, "study.json: variants.full.about is missing, and must"),
        ({}, {"seed": 9}, "line 2: study.json has no seed 9"),
        ({}, {"variant": "x"}, "line 2: study.json has no variant 'x'"),
        ({}, {"seed": 1}, "line 2 is a second run of 'full' with seed 1"),
        ({}, {"metrics": {"a": "high"}}, "line 2: metrics.a is 'high', and must be a number"),
        ({}, {"curve": [[1]]}, "line 2: curve.0 is [1], and must be a list [an integer, "),
    ],
)
def test_mistakes_are_reported_with_their_place(tmp_path, study, runs, message):
    lines = runs_of()
    lines[1] |= runs or {}
    with pytest.raises(InputError, match=re.escape(message)):
        report_of(tmp_path, study_of(**study), lines)


def test_a_study_of_a_notebook_has_no_command(tmp_path):
    report = report_of(tmp_path, study_of(command=None))
    assert report.rstrip().endswith("It was started from a notebook.")


def test_a_torn_last_line_is_left_out_and_another_is_an_error(tmp_path):
    results = written(tmp_path) / "results.jsonl"
    whole = results.read_text()
    results.write_text(whole[:-20])
    assert "19 of 20 students done" in write_study_report(tmp_path).read_text()
    results.write_text("{torn\n" + whole)
    with pytest.raises(InputError, match="line 1 is not JSON"):
        write_study_report(tmp_path)


@pytest.mark.long
def test_a_folder_without_a_study_ends_the_command_with_one_sentence(tmp_path):
    command = [sys.executable, "-m", "eval.study_report", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nowhere holds no study" in done.stderr


def test_a_disk_that_refuses_is_one_sentence_and_leaves_the_report(tmp_path):
    before = report_of(tmp_path)
    (tmp_path / "table.csv").unlink()
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*table\.csv: Is a directory"):
        write_study_report(tmp_path)
    assert (tmp_path / "report.md").read_text() == before


def shown(folder: Path) -> list[str]:
    text = (folder / "report.md").read_text()
    pictures = re.findall(r"!\[[^]]+\]\((.+)\)", text)
    assert {path.name for path in folder.glob("*.png")} == set(pictures)
    return pictures


def test_those_pictures_are_shown_that_there_are_numbers_for(folder, tmp_path):
    assert shown(folder) == ["differences.png", "curves.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))
    report_of(tmp_path)
    assert len(shown(tmp_path)) == 2
    report_of(tmp_path, runs=[{**run, "curve": []} for run in runs_of()[:5]])
    assert shown(tmp_path) == []


def test_differences_show_every_seed_the_mean_and_its_interval(tmp_path, figures):
    report_of(tmp_path)
    (axes,) = figures["differences.png"].axes
    _, *lines = axes.get_lines()  # the first is zero
    seeds, bar, mean = lines[:3]
    assert list(seeds.get_xdata()) == pytest.approx([-3, -3.1, -2.9, -3, -3])
    assert list(bar.get_xdata()) == pytest.approx([-3.0878, -2.9122], abs=1e-4)
    assert list(mean.get_xdata()) == pytest.approx([-3])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(DIFFERENCES)[1:]
    filled = [line.get_markerfacecolor() != "white" for line in lines[2::3]]
    assert filled == [True, False, True]  # as distinguishable, and told by form


def test_curves_show_the_mean_the_seeds_and_the_reference(tmp_path, figures):
    report_of(tmp_path)
    full, without, *_ = figures["curves.png"].axes
    assert [axes.get_title(loc="left") for axes in (full, without)] == ["full", "without KL"]
    assert len(full.get_lines()) == 5 + 1
    *seeds, mean, reference = without.get_lines()
    assert len(seeds) == 5
    assert list(mean.get_ydata()) == pytest.approx([0, 0.11, 0.22])
    assert list(reference.get_ydata()) == pytest.approx([0, 0.125, 0.25])


def test_long_names_cover_nothing_and_stay_inside(tmp_path, figures):
    names = ["full", *(f"the variant with a long name, number {i}" for i in range(7))]
    shifts = {name: [-0.004 * i] * 5 for i, name in enumerate(names)}
    report_of(tmp_path, study_of(names), runs_of(shifts))
    for figure in figures.values():
        FigureCanvasAgg(figure).draw()  # everything now has its place
    rows = figures["differences.png"].axes[0].get_yticklabels()
    boxes = [text.get_window_extent().frozen() for text in rows]
    assert len(boxes) == 7
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for figure in figures.values():
        texts = [text for axes in figure.axes for text in axes.texts]
        for text in [*texts, *(label for axes in figure.axes for label in axes.get_yticklabels())]:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


@pytest.mark.parametrize("seed", range(2))
def test_whatever_was_edited_by_hand_is_a_report_or_one_sentence(tmp_path, monkeypatch, seed):
    monkeypatch.setattr("report.study.report.draw_pictures", lambda *_: {})
    chance, outcomes = random.Random(seed), Counter()
    for number in range(100):
        parts: list[Any] = [study_of(), runs_of(seeds=(1, 2, 3))]
        parts[number % 2] = edited_by_hand(parts[number % 2], chance)
        if not isinstance(parts[1], list):
            continue
        (tmp_path / "study.json").write_text(json.dumps(parts[0]))
        lines = [json.dumps(run) + "\n" for run in parts[1]]
        (tmp_path / "results.jsonl").write_text("".join(lines))
        outcomes[written_or_refused(write_study_report, tmp_path)] += 1
    assert min(outcomes["refused"], outcomes["written"]) > 10
