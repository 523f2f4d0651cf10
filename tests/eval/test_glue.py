"""The table of GLUE: what is published, what is fine-tuned here, and what is left out and why."""

import json
from dataclasses import replace

import pytest

from eval import glue
from eval.glue import PUBLISHED, Glue, rows, run_glue, write_table
from model.errors import InputError
from tasks.glue import AVERAGED, glue_average
from tasks.open import TaskDataConfig
from tests import runs


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """RTE's files with a few rows, and a model."""
    folder = tmp_path_factory.mktemp("home")
    runs.write_teacher(folder / "model")
    (folder / "glue" / "RTE").mkdir(parents=True)
    for split in ("train", "dev"):
        lines = ["index\tsentence1\tsentence2\tlabel"]
        for number in range(8):
            label = "entailment" if number % 2 else "not_entailment"
            lines.append(f"{number}\tthe cat sees the dog\tthe dog sees\t{label}")
        (folder / "glue" / "RTE" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return folder


def test_what_the_paper_reports_gives_its_averages():
    averages = {
        role: (glue_average(s), glue_average(s, wnli=False)) for role, s in PUBLISHED.items()
    }
    assert averages["teacher"] == pytest.approx((79.5, 82.75), abs=0.06)
    assert averages["student"] == pytest.approx((77.0, 79.6), abs=0.06)


def test_the_share_kept_is_the_students_of_the_teachers_score():
    scores = {
        "teacher": dict.fromkeys(AVERAGED, 80.0),
        "student": dict.fromkeys(AVERAGED, 60.0),
    }
    table = {line[0]: line[1:] for line in rows(scores)}
    assert table["kept, here"] == ["75.0 %"] * 11
    assert table["kept, published"][-2] == "96.9 %"
    assert table["teacher, here"][0] == "80.0"
    partial = {role: {"rte": s["rte"]} for role, s in scores.items()}
    table = {line[0]: line[1:] for line in rows(partial)}
    assert table["kept, here"] == ["", "", "", "", "", "75.0 %", "", "", "", "", ""]


@pytest.mark.slow
def test_tasks_without_data_are_named_and_the_others_are_run(home, monkeypatch, capsys):
    recipe = glue.FINETUNE["rte"]

    def small():
        config = recipe()
        reading = replace(config.reading, max_length=16)
        return replace(config, batch_size=8, reading=reading, run=replace(config.run, devices=1))

    monkeypatch.setitem(glue.FINETUNE, "rte", small)
    config = Glue(
        teacher=str(home / "model"),
        student=str(home / "model"),
        tasks=("rte", "cola"),
        seeds=2,
        epochs=1.0,
        data=TaskDataConfig(root=home / "glue"),
        output=home / "run",
    )
    scores = run_glue(config)
    assert set(scores["teacher"]) == set(scores["student"]) == {"rte"}
    printed = capsys.readouterr().out
    assert "cola is left out" in printed
    assert "without WNLI" in printed and "…" not in printed  # nothing is cut off
    record = json.loads((home / "run" / "glue.json").read_text())
    assert record["scores"] == scores
    assert list(record["not_run"]) == ["cola"]
    text = (home / "run" / "glue.md").read_text()
    assert "Not run: cola" in text and "medians of 2 seeds" in text


def test_the_score_of_several_seeds_is_their_median(home, monkeypatch):
    seeds = [{"score": score} for score in (0.5, 0.9, 0.6)]
    monkeypatch.setattr(glue, "finetune", lambda config: seeds)
    config = Glue(
        teacher="a",
        student="b",
        tasks=("rte",),
        seeds=3,
        data=TaskDataConfig(root=home / "glue"),
        output=home / "three",
    )
    (home / "three").mkdir()
    assert run_glue(config) == {role: {"rte": pytest.approx(60)} for role in ("teacher", "student")}


def test_a_disk_that_refuses_the_table_is_reported(tmp_path):
    (tmp_path / "glue.md").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*glue\.md: Is a directory"):
        write_table(Glue(teacher="a", student="b", output=tmp_path), dict(PUBLISHED), {})


def test_what_cannot_be_run_is_refused(home):
    config = Glue(teacher="a", student="b", output=home / "none")
    with pytest.raises(InputError, match=r"--tasks rtee is not of GLUE: did you mean rte"):
        run_glue(Glue(teacher="a", student="b", tasks=("rtee",)))
    with pytest.raises(InputError, match="--seeds is 0: give a number from 1 to 1000"):
        run_glue(replace(config, seeds=0))
    with pytest.raises(InputError, match=r"--epochs is 0.0: give a number above 0"):
        run_glue(replace(config, epochs=0.0))
    with pytest.raises(InputError, match=r"--tasks squad is not of GLUE: there are cola"):
        run_glue(Glue(teacher="a", student="b", tasks=("squad",)))
    with pytest.raises(InputError, match="no data for any"):
        run_glue(Glue(teacher="a", student="b", data=TaskDataConfig(root=home / "model")))
    assert not config.output.exists()
