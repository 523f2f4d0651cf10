"""Labels in lists and in columns, as people write them, and what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from model.errors import InputError
from tasks.open import TaskData, TaskDataConfig, open_task

TEXTS = [f"row {number}" for number in range(40)]


def write_lists(file: Path, *labels: Any, name: str = "labels") -> Path:
    rows = [{"text": text, name: each} for text, each in zip(TEXTS, labels, strict=False)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def write_columns(file: Path, header: str, *rows: str) -> Path:
    lines = [f"{text},{row}" for text, row in zip(TEXTS, rows, strict=False)]
    file.write_text("\n".join([f"text,{header}", *lines]) + "\n")
    return file


def own(**settings: Any) -> TaskData:
    return open_task("multilabel", TaskDataConfig(**settings))


def labels_of(data: TaskData, split: str = "dev") -> list[tuple[str, ...]]:
    examples: Any = data.splits[split]
    return [example.label for example in examples]


def test_lists_and_columns_say_the_same(tmp_path):
    expected = [("rude",), (), ("loud", "rude"), ()]
    lists = write_lists(tmp_path / "a.jsonl", *map(list, expected))
    table = pyarrow.Table.from_pylist([json.loads(line) for line in lists.read_text().splitlines()])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    write_columns(tmp_path / "a.csv", "loud,rude", "0,1", "0,0", "1,1", "0,0")
    write_columns(tmp_path / "b.csv", "loud,rude", "false,TRUE", "False, 0", "true,1.0", "0.0,0")
    several = {"label_fields": ("loud", "rude")}
    for name, fields in (
        ("a.jsonl", {}),
        ("a.parquet", {}),
        ("a.csv", several),
        ("b.csv", several),
    ):
        data = own(train=tmp_path / name, dev=tmp_path / name, **fields)
        assert data.task.labels == ("loud", "rude")
        assert labels_of(data) == expected
        assert "train: 2 labels: loud 1, rude 2" in data.notes
        assert "train: 2 of 4 have no label" in data.notes


def test_a_list_may_have_any_name_and_numbers(tmp_path):
    numbers = [[1], [2.0, "10"], []]
    for name, fields in (("labels", {}), ("label", {}), ("topics", {"label_field": "topics"})):
        file = write_lists(tmp_path / "a.jsonl", *numbers, name=name)
        data = own(train=file, dev=file, **fields)
        assert data.task.labels == ("1", "2", "10")
        assert labels_of(data) == [("1",), ("2", "10"), ()]
        assert "train: 1 of 3 labels are read as whole numbers: 1.0 as 1" in data.notes
    both = [{"text": t, "label": [t], "labels": 5} for t in TEXTS[:3]]  # that of the flag counts
    file.write_text("".join(json.dumps(row) + "\n" for row in both))
    assert own(train=file, dev=file).task.labels == tuple(TEXTS[:3])


def test_labels_that_nobody_or_everybody_has_are_remarked(tmp_path):
    file = write_columns(tmp_path / "a.csv", "a,b,c", "0,1,1", "0,0,1", "0,1,1")
    notes = own(train=file, dev=file, label_fields=("a", "b", "c")).notes
    assert "train: no example has a, of which nothing can be learned" in notes
    assert "train: all examples have c, of which nothing can be learned" in notes
    assert "train: 3 labels: a 0, b 2, c 3" in notes


def test_a_part_for_development_has_every_label(tmp_path):
    """The rarest label of an example decides; two have it."""
    labels = [["often"] * (n % 2) + ["rare"] * (n in (7, 31)) for n in range(40)]
    file = write_lists(tmp_path / "a.jsonl", *labels)
    data = own(train=file)
    for split in ("train", "dev"):
        assert {name for each in labels_of(data, split) for name in each} == {"often", "rare"}
        assert () in labels_of(data, split)
    assert len(data.splits["dev"]) == 4


def test_a_test_set_may_lack_labels(tmp_path):
    file = write_lists(tmp_path / "a.jsonl", None, None)
    data = open_task("multilabel", TaskDataConfig(test=file), splits=("test",))
    assert labels_of(data, "test") == [None, None]
    config = TaskDataConfig(test=file, label_fields=("a", "b"))
    assert labels_of(open_task("multilabel", config, splits=("test",)), "test") == [None, None]
    empty = write_lists(tmp_path / "a.jsonl", [], [])
    data = open_task("multilabel", TaskDataConfig(test=empty), splits=("test",))
    assert labels_of(data, "test") == [(), ()]


NO_LIST = r'jsonl, line 2: the labels are no list, as \["a", "b"\], or \[\] for none, but '


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("a, b", f"{NO_LIST}'a, b': name a list with --data.label-field or, for each label, a col"),
        (None, f"{NO_LIST}None"),
        (7, f"{NO_LIST}7"),
        ({"a": 1}, f"{NO_LIST}{{'a': 1}}"),
        ([["a"]], "jsonl, line 2: the label is list, not a name"),
        (["a", " a"], "jsonl, line 2: the label 'a' is there 2 times"),
        ([1, "1.0"], "jsonl, line 2: the label '1' is there 2 times"),
        (["a", " "], "jsonl, line 2: the label is empty: give one"),
        (["a", None], "jsonl, line 2: the label is empty: give one"),
        ([float("nan")], "jsonl, line 2: the label is nan: give one"),
    ],
)
def test_cells_that_are_no_lists_of_labels(tmp_path, cell, message):
    file = write_lists(tmp_path / "a.jsonl", ["a"], cell, ["b"])
    with pytest.raises(InputError, match=message):
        own(train=file)


def test_a_label_that_the_training_examples_lack(tmp_path):
    train = write_lists(tmp_path / "a.jsonl", ["a"], ["b"])
    dev = write_lists(tmp_path / "b.jsonl", ["a"], ["b", "c"])
    with pytest.raises(InputError, match=r"b.jsonl, line 2: the label 'c' is none of a, b"):
        own(train=train, dev=dev)


@pytest.mark.parametrize("labels", [[["a"], ["a"]], [[], []], [["a", "b"], ["b", "a"]]])
def test_the_same_labels_everywhere(tmp_path, labels):
    with pytest.raises(InputError, match="all examples have the same labels: there is nothing to"):
        own(train=write_lists(tmp_path / "a.jsonl", *labels))


def test_one_label_that_some_have(tmp_path):
    file = write_lists(tmp_path / "a.jsonl", ["a"], [])
    assert own(train=file, dev=file).task.labels == ("a",)


@pytest.mark.parametrize(
    ("row", "fields", "message"),
    [
        ("2,1", "a b", "csv, line 3: 'a' is '2', and a label has 0 or 1 there, or false or true"),
        ("1,yes", "a b", "csv, line 3: 'b' is 'yes', and a label has 0 or 1 there"),
        (",1", "a b", "csv, line 3: 'a' is '', and a label has 0 or 1 there"),
        ("nan,1", "a b", "csv, line 3: 'a' is 'nan', and a label has 0 or 1 there"),
        ("0.5,1", "a b", "csv, line 3: 'a' is '0.5', and a label has 0 or 1 there"),
        (
            "1,1",
            "a c",
            "csv, line 2, has no 'c' but .*: name the right one with --data.label-fields",
        ),
        ("1,1", "a a", "--data.label-fields a a: a column is named twice"),
    ],
)
def test_columns_of_something_else(tmp_path, row, fields, message):
    file = write_columns(tmp_path / "a.csv", "a,b", "0,1", row)
    with pytest.raises(InputError, match=message):
        own(train=file, label_fields=tuple(fields.split()))


def test_flags_that_contradict_each_other(tmp_path):
    file = write_columns(tmp_path / "a.csv", "a,b", "0,1", "1,1")
    with pytest.raises(
        InputError, match=r"--data.label-field names one column, --data.label-fields"
    ):
        own(train=file, label_field="a", label_fields=("a", "b"))
    with pytest.raises(InputError, match=r"--data.label-fields means nothing for classification"):
        open_task("classification", TaskDataConfig(train=file, label_fields=("a", "b")))
