"""Several values of a text, which go by the names of their columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from model.config import EncoderConfig
from model.errors import InputError
from tasks.kinds import KINDS
from tasks.open import TaskData, TaskDataConfig, open_task
from tasks.score import score_in_full
from tasks.task import Task
from tasks.values.kind import Regression, SeveralValues

NAMES = ("joy", "anger")


def own(file: Path, *fields: str, split: str = "dev") -> TaskData:
    files: Any = {split: file}
    config = TaskDataConfig(**files, label_fields=fields)
    return open_task("regression", config, splits=(split,))


def test_values_are_read_by_name(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text,anger,joy,label\nrow 1,0.5,2,x\nrow 2,-1,1e2,y\n")
    data = own(file, *NAMES)
    examples: Any = data.splits["dev"]
    assert [example.label for example in examples] == [
        {"joy": 2, "anger": 0.5},
        {"joy": 100, "anger": -1},
    ]
    assert data.task.labels == data.task.outputs == NAMES
    assert data.task.kind == SeveralValues()
    one = own(file, "joy")
    examples = one.splits["dev"]
    assert [example.label for example in examples] == [2, 100]
    assert (one.task.kind, one.task.outputs) == (Regression(), ("joy",))


def test_a_test_set_may_lack_all_values_but_not_one(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text,joy,anger\nrow 1,,\nrow 2,nan,\n")
    examples: Any = own(file, *NAMES, split="test").splits["test"]
    assert [example.label for example in examples] == [None, None]
    file.write_text("text,joy,anger\nrow 1,1,\n")
    with pytest.raises(InputError, match=r"a.csv, line 2: anger '' is not a finite number"):
        own(file, *NAMES, split="test")


@pytest.mark.parametrize(
    ("row", "fields", "message"),
    [
        ("1,x", NAMES, "a.csv, line 2: anger 'x' is not a finite number"),
        ("inf,1", NAMES, "a.csv, line 2: joy 'inf' is not a finite number"),
        ("1,1", ("joy", "fear"), r"has no 'fear' but .*: name the right one with --data\.label-f"),
    ],
)
def test_cells_without_a_value(tmp_path, row, fields, message):
    (tmp_path / "a.csv").write_text(f"text,joy,anger\nrow 1,{row}\n")
    with pytest.raises(InputError, match=message):
        own(tmp_path / "a.csv", *fields)


def test_the_number_of_outputs_decides_between_one_value_and_several():
    kind = KINDS["regression"]
    several = EncoderConfig(labels=("a", "b", "c"), problem_type="regression")
    for config in (several, EncoderConfig(labels=("a",))):
        assert kind.serves(config) and not KINDS["classification"].serves(config)
    assert kind.of_labels(("a",)) == kind.of_labels(()) == Regression()
    assert kind.of_labels(several.labels) == SeveralValues()
    assert kind.to_config(several.replace(labels=("a",))).problem_type == "regression"
    two = kind.to_config(EncoderConfig(labels=("a", "b")))
    assert two.problem_type == "regression"


def test_scores_are_means_over_the_values():
    """Against scipy and scikit-learn."""
    correlations: Any = stats
    random = np.random.default_rng(0)
    gold = random.normal(size=(20, 2)) * [1, 10]
    predicted = gold + random.normal(size=(20, 2)) * [1, 5]
    rows = [
        {
            "gold": dict(zip(NAMES, right, strict=True)),
            "prediction": dict(zip(NAMES[::-1], found[::-1], strict=True)),
        }
        for right, found in zip(gold.tolist(), predicted.tolist(), strict=True)
    ]
    task = Task("t", "t", SeveralValues(), ("pearson", "spearman"), labels=NAMES)
    found = score_in_full(task, rows).metrics
    pairs = list(zip(gold.T, predicted.T, strict=True))
    expected = {
        "pearson": np.mean([correlations.pearsonr(*pair).statistic for pair in pairs]),
        "spearman": np.mean([correlations.spearmanr(*pair).statistic for pair in pairs]),
        "r2": metrics.r2_score(gold, predicted),
    }
    expected["score"] = (expected["pearson"] + expected["spearman"]) / 2
    errors: Any = metrics.mean_absolute_error(gold, predicted, multioutput="raw_values")
    expected |= {f"mae of {name}": e for name, e in zip(NAMES, errors, strict=True)}
    assert found == pytest.approx(expected)
    worst = task.kind.mistake(rows[0])
    assert worst.badness == pytest.approx(np.abs(gold[0] - predicted[0]).max())
    assert worst.right == f"joy {gold[0, 0]:.3f}, anger {gold[0, 1]:.3f}"
    assert worst.predicted == f"joy {predicted[0, 0]:.3f}, anger {predicted[0, 1]:.3f}"
