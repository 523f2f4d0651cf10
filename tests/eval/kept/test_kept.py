"""The folders of fine-tunings that eval.kept reads, what it writes, and what it refuses."""

import json

import pytest

from eval.kept import __main__ as command
from eval.kept.__main__ import KeptConfig, measure_kept
from model.errors import InputError
from tasks.open import TaskDataConfig
from tests.report.test_run import CONFIG

GOLD = {"rte": ["entailment", "not_entailment"] * 10, "stsb": [number / 4 for number in range(20)]}
COLUMNS = {
    "rte": "index\tsentence1\tsentence2\tlabel",
    "stsb": "index\tsentence1\tsentence2\tscore",
}


@pytest.fixture
def home(tmp_path):
    """Development sets of RTE and STS-B, and folders of fine-tunings with their errors."""
    for task, folder in (("rte", "RTE"), ("stsb", "STS-B")):
        rows = [f"{n}\tthe cat sees\tthe dog {n}\t{gold}" for n, gold in enumerate(GOLD[task])]
        path = tmp_path / "glue" / folder / "dev.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([COLUMNS[task], *rows]) + "\n")
    for model, seeds in (("teacher", (5, 6, 7)), ("worse", (5, 6, 7)), ("one", (5, 6))):
        fine_tuned(tmp_path / model, seeds)
    fine_tuned(tmp_path / "two", (6, 7))
    return tmp_path


def fine_tuned(folder, seeds, tasks=("rte", "stsb")):
    for task in tasks:
        for seed in seeds:
            run = folder / task / f"seed-{seed}"
            (run / "model").mkdir(parents=True)
            settings = {**CONFIG, "kind": "finetune", "task": task, "model": "m", "seed": seed}
            (run / "config.json").write_text(json.dumps(settings))


def wrong(model, seed):
    """The number of first answers that a model gets wrong."""
    return {"teacher": 2, "worse": 5, "one": 4, "two": 6}[model] + (seed == 6)


@pytest.fixture
def evaluated(monkeypatch):
    """Writes predictions with so many errors instead of asking models."""

    def evaluate(config):
        *_, model, task, seed, _ = config.model.split("/")
        errors = wrong(model, int(seed.removeprefix("seed-")))
        gold = GOLD[task]
        other = {"entailment": "not_entailment", "not_entailment": "entailment"}
        rows = [
            {"gold": answer, "prediction": other.get(answer, 2.5) if n < errors else answer}
            for n, answer in enumerate(gold)
        ]
        (config.output / "predictions-dev.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows)
        )
        return {"dev": {"score": 0.5}}

    monkeypatch.setattr(command, "evaluate_task", evaluate)


def config_of(home, **changes):
    settings = {
        "teacher": (home / "worse", home / "teacher"),
        "student": (home / "one", home / "two"),
        "data": TaskDataConfig(root=home / "glue"),
        "draws": 100,
        "output": home / "kept",
    }
    return KeptConfig(**settings | changes)


def test_the_best_teacher_counts_and_tables_are_written(home, evaluated, capsys):
    measure_kept(config_of(home, tasks=("rte",)))
    record = json.loads((home / "kept/kept.json").read_text())
    assert record["teacher"] == str(home / "teacher")
    # One: 4 and 5 of 20 wrong; two: 7 and 6. The teacher with the same seeds: 2, 3, 3 and 2.
    student, teacher = 1 - 22 / 80, 1 - 10 / 80
    share = record["mean"]["share"]
    assert share["value"] == pytest.approx(student / teacher)
    assert share["low"] < share["value"] < share["high"]
    above = record["mean"]["above_guessing"]["value"]
    assert above == pytest.approx((student - 0.5) / (teacher - 0.5))
    assert record["guessing"] == {"rte": 0.5} and record["examples"] == {"rte": 20}
    printed = capsys.readouterr().out
    assert "The student keeps 82.9 (" in printed
    text = (home / "kept/kept.md").read_text()
    assert "whose mean is higher than that of" in text and "| RTE | 50.0 | 87.5 (" in text
    measure_kept(config_of(home, tasks=("rte",)))  # into the same folder
    assert json.loads((home / "kept/kept.json").read_text())["mean"] == record["mean"]


def test_all_tasks_that_the_folders_have_and_a_correlation_guesses_nothing(home, evaluated):
    found = measure_kept(config_of(home, teacher=(home / "teacher",)))
    record = json.loads((home / "kept/kept.json").read_text())
    assert record["guessing"] == {"stsb": 0.0, "rte": 0.5}
    sides = [[record["tasks"][task][side]["value"] for task in ("rte", "stsb")]
             for side in ("teacher", "student")]  # fmt: skip
    assert found.teacher.value == pytest.approx(sum(sides[0]) / 2)
    assert found.share.value == pytest.approx(sum(sides[1]) / sum(sides[0]))


@pytest.mark.parametrize(
    ("at_least", "sentence"),
    [(0.5, "at least 50 %, as was said"), (1.2, "less than 120 %"), (0.83, "it is not shown")],
)
def test_a_share_is_kept_if_the_whole_interval_says_so(home, evaluated, at_least, sentence):
    measure_kept(config_of(home, tasks=("rte",), at_least=at_least))
    assert sentence in json.loads((home / "kept/kept.json").read_text())["verdict"]


def test_what_cannot_be_compared_is_refused(home):
    (home / "empty").mkdir()
    fine_tuned(home / "few", (5,))
    fine_tuned(home / "uneven", (5,), ("rte",))
    fine_tuned(home / "uneven", (6,), ("stsb",))
    fine_tuned(home / "stopped", (5,))
    (home / "stopped/rte/seed-5/model").rmdir()
    fine_tuned(home / "other", (5,))
    (home / "other/cola").symlink_to(home / "other/rte")
    other = (home / "other",)
    for changes, message in (
        ({"student": (home / "empty",)}, "have no task in common: each must hold"),
        ({"student": (home / "empty",), "tasks": ("rte",)}, "empty has no fine-tuning on rte"),
        ({"teacher": (home / "few",)}, "few was not fine-tuned on .* with seed 6, as .*one was"),
        ({"student": (home / "uneven",)}, "seeds of rte are 5, and those of stsb 6"),
        ({"student": (home / "stopped",)}, r"rte/seed-5 is not done: it has no model"),
        (
            {"teacher": other, "student": other, "tasks": ("cola",)},
            "seed-5 is no fine-tuning on cola",
        ),
        ({"draws": 1}, "--draws is 1"),
        ({"at_least": 0.0}, "--at-least is 0"),
    ):
        with pytest.raises(InputError, match=message):
            measure_kept(config_of(home, **changes))
    assert not (home / "kept").exists()
