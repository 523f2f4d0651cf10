"""Splits, flags and a user's own files."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from model.errors import InputError
from tasks.open import TaskData, TaskDataConfig, open_task
from tasks.texts.examples import TextExample
from tasks.words.examples import TaggedExample


def rows(number: int, label=("bad", "good")) -> list[dict[str, Any]]:
    return [{"text": f"row {n}", "label": label[n % len(label)]} for n in range(number)]


def jsonl(file: Path, of: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in of))
    return file


def text(file: Path, content: str) -> Path:
    file.write_text(content, encoding="utf-8")
    return file


def own(name: str = "classification", *splits: str, **files: Any) -> TaskData:
    return open_task(name, TaskDataConfig(**files), splits=splits or None)


@pytest.fixture
def forty(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "train.jsonl", rows(40))


@pytest.fixture
def ag_news(tmp_path: Path) -> Path:
    lines = [f'"{n % 4 + 1}","Title {n}","He said ""{n}"", twice"\n' for n in range(20)]
    text(tmp_path / "train.csv", "".join(lines))
    text(tmp_path / "test.csv", "".join(lines[:3]))
    return tmp_path


def test_a_set_without_development_split_gives_a_share_of_train(ag_news):
    data = open_task("ag_news", TaskDataConfig(root=ag_news))
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 16,
        "dev": 4,
        "test": 3,
    }
    both = {*data.splits["train"], *data.splits["dev"]}
    assert sorted(int(example.id) for example in both) == list(range(20))
    assert TextExample("6", 'Title 6 He said "6", twice', None, "Business") in both
    assert data.notes == (
        "dev: 4 of the 20 training examples, drawn with seed 0, because there is no development "
        "split",
        "test: 3 of 3 have a text that training examples have too",
        "train: 4 classes: World 4, Sports 4, Business 4, Sci/Tech 4",
    )
    assert data.source == str(ag_news)


def test_the_division_does_not_depend_on_the_splits_asked_for(ag_news):
    whole = open_task("ag_news", TaskDataConfig(root=ag_news)).splits
    for split in whole:
        data = open_task("ag_news", TaskDataConfig(root=ag_news), splits=(split,))
        assert data.splits == {split: whole[split]}
    (ag_news / "test.csv").unlink()
    assert list(open_task("ag_news", TaskDataConfig(root=ag_news)).splits) == ["train", "dev"]


def test_a_split_that_is_missing_says_what_was_looked_for(ag_news):
    (ag_news / "train.csv").unlink()
    config = TaskDataConfig(root=ag_news)
    assert len(open_task("ag_news", config, splits=("test",)).splits["test"]) == 3
    for split in ("train", "dev"):
        with pytest.raises(InputError) as caught:
            open_task("ag_news", config, splits=(split,))
        assert str(caught.value) == (
            f"{ag_news} does not hold the train split of AG News: looked for train.csv (or .gz), "
            "there or in ag_news_csv or ag_news"
        )


def test_an_empty_folder_and_no_folder(tmp_path):
    for task, file in (
        ("imdb", "aclImdb.*tar.gz"),
        ("squad2", "train-v2.0.json"),
        ("ax", "AX.tsv"),
    ):
        with pytest.raises(InputError, match=rf"does not hold the .* split of .*{file}"):
            open_task(task, TaskDataConfig(root=tmp_path))
    with pytest.raises(InputError, match=r"--data.root .*no is no folder: name the one with"):
        open_task("cola", TaskDataConfig(root=tmp_path / "no"))


def test_a_limit_draws_the_same_training_examples_and_leaves_the_others(forty):
    whole, small = own(train=forty), own(train=forty, train_limit=9)
    assert own(train=forty, train_limit=9).splits == small.splits
    assert small.splits["dev"] == whole.splits["dev"] and len(whole.splits["dev"]) == 4
    assert len(small.splits["train"]) == 9
    chosen = set(small.splits["train"])
    assert small.splits["train"] == tuple(e for e in whole.splits["train"] if e in chosen)
    assert small.splits["train"] != whole.splits["train"][:9]
    assert small.notes[-2:] == (
        "train: 9 of 36 examples, drawn with seed 0",
        "train: 2 classes: bad 5, good 4",
    )
    assert own(train=forty, train_limit=36).splits == whole.splits


def test_the_fingerprint_is_of_the_content(forty, tmp_path):
    copy = jsonl(tmp_path / "copy.jsonl", rows(40))
    changed = jsonl(tmp_path / "changed.jsonl", [*rows(39), {"text": "other", "label": "good"}])
    first = own(train=forty).fingerprint
    assert own(train=copy).fingerprint == first
    others = [
        own(train=changed),
        own(train=forty, dev_share=0.2),
        own(train=forty, train_limit=9),
        own(train=forty, test=copy),
    ]
    assert len({first, *(data.fingerprint for data in others)}) == 5


def test_classes_are_those_of_the_training_file(forty, tmp_path):
    dev = jsonl(tmp_path / "dev.jsonl", rows(2, label=("good",)))
    data = own("classification", "dev", train=forty, dev=dev)
    assert data.task.labels == ("bad", "good") and list(data.splits) == ["dev"]
    unknown = jsonl(tmp_path / "dev.jsonl", [*rows(1), {"text": "x", "label": "ugly"}])
    with pytest.raises(
        InputError, match=r"dev.jsonl, line 2: the label 'ugly' is none of bad, goo"
    ):
        own(train=forty, dev=unknown)
    with pytest.raises(InputError, match=r"all examples have the label 'good'"):
        own(train=jsonl(tmp_path / "one.jsonl", rows(5, label=("good",))))


def test_one_class_has_one_name_in_all_files(tmp_path):
    lines = "".join(f"text {n},{label}\n" for n, label in enumerate(["pos", "pos ", "neg"] * 9))
    data = own(train=text(tmp_path / "a.csv", f"text,label\n{lines}"))
    assert data.task.labels == ("neg", "pos")
    assert "train: 9 of 27 labels are read without the white space around them" in data.notes
    assert data.notes[-1] == "train: 2 classes: neg 8, pos 16"
    cells = jsonl(tmp_path / "b.jsonl", rows(12, label=(1, 1.0, "1", 0)))
    assert own(train=cells).task.labels == ("0", "1")
    numbers = jsonl(tmp_path / "c.jsonl", rows(120, label=tuple(range(12))))
    assert own(train=numbers).task.labels == tuple(map(str, range(12)))
    floats = own(train=jsonl(tmp_path / "d.jsonl", rows(20, label=(0.5, 1.0))))
    assert floats.task.labels == ("0.5", "1") and "regression" in floats.notes[-1]
    missing = jsonl(tmp_path / "e.jsonl", rows(2, label=("a", float("nan"))))
    with pytest.raises(InputError, match=r"e.jsonl, line 2: the label is nan: give one"):
        own(train=missing)
    labels = [getattr(e, "label", "") for e in own(test=missing).splits["test"]]
    assert labels == ["a", None]
    cased = own(train=jsonl(tmp_path / "f.jsonl", rows(20, label=("Pos", "pos"))))
    assert cased.notes[-1].startswith("train: 'Pos' and 'pos' differ in case only")
    tags = text(tmp_path / "g.conll", "a\tB-x \nb\tO\n\nc\tB-x\n")
    assert own("tags", train=tags, dev=tags).task.labels == ("O", "B-x", "I-x")


def test_what_held_out_examples_share_with_training_is_said(tmp_path):
    train = jsonl(tmp_path / "a.jsonl", rows(20))
    dev = jsonl(tmp_path / "b.jsonl", [*rows(3), {"text": "ROW  7 ", "label": "bad"}])
    sentence = "dev: 4 of 4 have a text that training examples have too"
    assert sentence in own(train=train, dev=dev).notes
    assert sentence in own("classification", "dev", train=train, dev=dev).notes
    new = jsonl(tmp_path / "c.jsonl", [{"text": "new", "label": "bad"}])
    assert own(train=train, dev=new).notes == (
        "dev: no example of good",
        "train: 2 classes: bad 10, good 10",
    )


def test_to_evaluate_a_test_file_is_enough(tmp_path):
    test = jsonl(tmp_path / "test.jsonl", rows(4))
    assert own("classification", "test", test=test).task.labels == ("bad", "good")
    unlabelled = jsonl(tmp_path / "test.jsonl", [{"text": "x"}])
    data = own(test=unlabelled)
    assert data.splits == {"test": (TextExample("0", "x"),)} and data.task.labels == ()


def test_all_kinds_of_table_packed_or_not_are_the_same(tmp_path):
    table = [{"n": "1", "a": "x, y", "b": "z", "c": "1"}, {"n": "2", "a": "u", "b": "v", "c": "0"}]
    jsonl(tmp_path / "a.jsonl", [{**row, "c": int(row["c"])} for row in table])
    text(tmp_path / "a.csv", '\ufeffn,a,b,c\r\n1,"x, y",z,1\r\n2,u,v,0\r\n')
    text(tmp_path / "a.tsv", "n\ta\tb\tc\n1\tx, y\tz\t1\n\n2\tu\tv\t0\n")
    rows = [{**row, "c": int(row["c"])} for row in table]
    text(tmp_path / "a.json", "\ufeff\n " + json.dumps(rows, indent=1))
    jsonl(tmp_path / "b.json", rows)
    (tmp_path / "c.json.gz").write_bytes(gzip.compress((tmp_path / "a.json").read_bytes()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    fields = {"text_field": "a", "pair_field": "b", "label_field": "c"}
    names = ["a.jsonl", "a.csv", "a.tsv", "b.csv.gz", "a.parquet", "b.parquet.gz"]
    for name in (*names, "a.json", "b.json", "c.json.gz"):
        data = own("classification", "dev", dev=tmp_path / name, **fields)
        assert data.splits["dev"] == (
            TextExample("0", "x, y", "z", "1"),
            TextExample("1", "u", "v", "0"),
        )
        values = own("regression", "dev", dev=tmp_path / name, **fields)
        assert values.splits["dev"] == (
            TextExample("0", "x, y", "z", 1.0),
            TextExample("1", "u", "v", 0.0),
        )
        assert values.task.labels == ()


def test_tags_in_tables_are_lists_or_have_spaces_between(tmp_path):
    first = jsonl(tmp_path / "a.jsonl", [{"text": ["Ann", "sang"], "label": ["I-per", "O"]}])
    second = text(tmp_path / "a.csv", "text,label\nAnn sang,B-per O\n")
    for file, tag in ((first, "I-per"), (second, "B-per")):
        data = own("tags", "dev", dev=file)
        assert data.splits["dev"] == (TaggedExample("0", ("Ann", "sang"), (tag, "O")),)
    bad = text(tmp_path / "b.csv", "text,label\nAnn sang,B-per\n")
    with pytest.raises(InputError, match=r"b.csv, line 2: 2 words have 1 tags"):
        own("tags", "dev", dev=bad)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'text,label\n"x\ny",a\nz,b,c\n', "line 4, has 3 columns instead of 2: text, lab"),
        ("a.csv", "text,label\nx\n", "line 2, has 1 column instead of 2"),
        ("a.csv", 'text,label\n"x,a\n', "line 2, is not CSV: unexpected end of data"),
        ("a.csv", "text,text\nx,y\n", "two columns have the same name: text, text"),
        (
            "a.csv",
            "body,label\nx,y\n",
            "no 'text' but 'body', 'label': name the right one with --d",
        ),
        (
            "a.csv",
            "text,class\nx,y\n",
            "line 2, has no 'label' but 'text', 'class': name the right",
        ),
        ("a.csv", "text,label\n,y\n", "line 2: the text of 'text' is empty"),
        ("a.csv", "text,label\n", "there are no examples"),
        ("a.csv", "", "there are no examples"),
        ("a.jsonl", '{"text": "x", "label": "y"}\n{"text"', "line 2, is not JSON"),
        ("a.jsonl", "[" * 200_000, "line 1, is not JSON (it is nested too deeply)"),
        ("a.jsonl", '{"text": ' + "1" * 5000 + "}", "line 1, is not JSON (Exceeds the limit"),
        ("a.jsonl", '["x", "y"]\n', "line 1, is not a JSON object with named values"),
        ("a.jsonl", '{"text": 1, "label": "y"}\n', "line 1: 'text' is int, not text"),
        ("a.jsonl", '{"text": null, "label": "y"}\n', "line 1: the text of 'text' is empty"),
        ("a.jsonl", '{"text": "x", "label": null}\n', "line 1: the label is empty"),
        ("a.jsonl", '{"text": "x", "label": ["y"]}\n', "line 1: the label is list, not a name"),
        ("a.json", '[{"text": "x", "label": "y"}, ', "a.json is not JSON, or cut short: Expecting"),
        ("a.json", '[{"text": "x", "label": "y"}, 5]', "row 2, is not a JSON object with named"),
        ("a.json", '[{"text": "x", "label": "y"}, {"text": 1}]', "row 2: 'text' is int, not text"),
        ("a.json", '{"data":\n []}', "line 1, is not JSON (Expecting value): each line should be"),
        (
            "a.txt",
            "x\n",
            "the name should end in .tsv, .csv, .jsonl, .json, .parquet, or one of these and .gz",
        ),
        ("a.csv.gz", "no gzip", "cannot be read"),
    ],
)
def test_a_bad_file_of_ones_own(name, content, message, tmp_path):
    file = text(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        own(train=file)
    assert str(file) in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("sst2", {"dev_share": 0.0}, "--data.dev-share is 0.0: give a number above 0, at most 0.5"),
        ("sst2", {"dev_share": 0.6}, "--data.dev-share is 0.6"),
        ("sst2", {"train_limit": 0}, "--data.train-limit is 0: give a number from 1"),
        (
            "sst2",
            {"train": "x.csv"},
            "--data.train means nothing for sst2, which is read from the hub",
        ),
        ("sst2", {"text_field": "body"}, "--data.text-field means nothing for sst2"),
        ("classification", {"root": "x"}, "--data.root means nothing for classification"),
        ("tags", {"pair_field": "x"}, "--data.pair-field means nothing for tags"),
        ("answers", {"label_field": "x"}, "--data.label-field means nothing for answers"),
        ("regression", {}, "reads your own files: give --data.train"),
        ("regression", {"train": "absent.csv"}, "absent.csv does not exist, or is a folder"),
    ],
)
def test_flags_that_make_no_sense(task, settings, message, tmp_path):
    paths = {name: Path(v) for name, v in settings.items() if name in ("root", "train")}
    with pytest.raises(InputError) as caught:
        open_task(task, TaskDataConfig(**{**settings, **paths}))
    assert message in str(caught.value)


def test_a_split_of_ones_own_that_was_not_given(forty):
    with pytest.raises(InputError, match=r"give --data.test"):
        own("classification", "test", train=forty)
    with pytest.raises(InputError, match=r"give --data.train or --data.dev"):
        own("classification", "dev", test=forty)
    one = jsonl(forty.with_name("one.jsonl"), [{"text": "x", "label": 1}])
    with pytest.raises(InputError, match=r"one training example cannot be divided"):
        own("regression", train=one)
