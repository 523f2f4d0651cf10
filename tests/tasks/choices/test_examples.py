"""Files with choices: a user's own, and SWAG as it was published."""

import csv
import json

import pytest

from model.errors import InputError
from tasks.catalogue import TASKS
from tasks.choices.examples import ChoiceExample
from tasks.choices.kind import Choices
from tasks.open import TaskData, TaskDataConfig, open_task

SWAG = (
    ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n"
    '0,v,7,"A man sits, so. He","A man sits, so.",He,gold,eats.,sleeps.,"jumps, up.",ends.,2\n'
    "1,v2,8,A dog barks. It,A dog barks.,It,gen,eats.,eats.,sits.,ends.,0\n"
)


def own(tmp_path, name: str, content: str, **settings) -> TaskData:
    (tmp_path / name).write_text(content)
    return open_task("choices", TaskDataConfig(dev=tmp_path / name, **settings))


def of_choices(data: TaskData, split: str) -> list[ChoiceExample]:
    return [example for example in data.splits[split] if isinstance(example, ChoiceExample)]


def lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def row(**changes) -> dict:
    return {"text": "a cat", "choices": ["b", "c", "d"], "label": 1, **changes}


def test_a_list_of_choices(tmp_path):
    data = own(tmp_path, "a.jsonl", lines(row(id="x"), row(choices=["e", "f"], label="0")))
    first, second = of_choices(data, "dev")
    assert (first.id, first.context, first.choices, first.label) == (
        "x",
        "a cat",
        ("b", "c", "d"),
        1,
    )
    assert (second.id, second.choices, second.label) == ("1", ("e", "f"), 0)
    assert data.task.kind == Choices(most=3)


def test_columns_of_choices(tmp_path):
    content = "q,choice1,choice0,choice2,right\nwho,b,a,c,2\nhow,e,d,,1.0\n"
    data = own(tmp_path, "a.csv", content, text_field="q", label_field="right")
    first, second = of_choices(data, "dev")
    assert (first.context, first.choices, first.label) == ("who", ("a", "b", "c"), 2)
    assert (second.context, second.choices, second.label) == ("how", ("d", "e"), 1)
    assert data.notes == ("dev: 1 of 2 labels are read as whole numbers: 1.0 as 1",)


def test_a_test_set_without_labels(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines({"text": "a", "choices": ["b", "c"]}))
    data = open_task("choices", TaskDataConfig(test=tmp_path / "a.jsonl"))
    assert of_choices(data, "test")[0].label is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 3}, "line 1: the label '3' is not the place of a choice: give .* 0 to 2"),
        ({"label": -1}, "line 1: the label '-1' is not the place of a choice"),
        ({"label": "c"}, "line 1: the label 'c' is not the place of a choice"),
        ({"label": True}, "line 1: the label 'true' is not the place of a choice"),
        ({"label": None}, "line 1: the label is empty"),
        ({"choices": ["b"]}, "line 1: there should be two choices or more, and not 1"),
        ({"choices": []}, "line 1: there should be two choices or more, and not 0"),
        ({"choices": ["b", " ", "d"]}, "line 1: choice 1 is empty"),
        ({"choices": ["b", None]}, "line 1: choice 1 is empty"),
        ({"choices": ["b", 2]}, "line 1: choice 1 is int, not text"),
        ({"choices": ["b", "c", "b"]}, "line 1: the choices 0 and 2 are the same, 'b': leave one"),
        ({"choices": "b"}, "line 1: 'choices' is str, not a list of texts: .* choice0, choice1"),
        ({"text": " "}, "line 1: the text of 'text' is empty"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_refused_with_its_place(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error:
        own(tmp_path, "a.jsonl", lines(row(**changes)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\na,0\n", "line 2, has no 'choices' or 'choice0' but 'text', 'label'"),
        ("text,choice1,choice2,label\na,b,c,1\n", "has the columns choice1, choice2: number them"),
        ("text,choice0,choice2,label\na,b,c,1\n", "has the columns choice0, choice2: number them"),
        ("text,choice0,choice1,label\na,b,,0\n", "line 2: there should be two choices or more"),
        ("text,choice0,choice1,choice2,label\na,b,,c,0\n", "line 2: choice 1 is empty"),
        ("text,choice0,choice1\na,b,c\n", "has no 'label' .*: name .* with --data.label-field"),
        ("sentence,choice0,choice1\na,b,c\n", "has no 'text' .*: name .* with --data.text-field"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        own(tmp_path, "a.csv", content)


def test_a_pair_means_nothing(tmp_path):
    with pytest.raises(InputError, match=r"--data\.pair-field means nothing for choices"):
        own(tmp_path, "a.jsonl", lines(row()), pair_field="b")


@pytest.mark.parametrize("folder", ["swag", "swagaf/data", ""])
def test_swag_as_published(tmp_path, folder):
    """What its authors left is read as it is: one row of these has the same ending twice."""
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "train.csv").write_text(SWAG)
    (place / "val.csv").write_text(SWAG)
    with (place / "test.csv").open("w", newline="") as file:  # without labels
        rows = csv.reader(SWAG.splitlines())
        csv.writer(file).writerows(cells[:-1] for cells in rows)
    data = open_task("swag", TaskDataConfig(root=tmp_path))
    train, dev, test = (of_choices(data, split) for split in ("train", "dev", "test"))
    first, second = train
    assert first.context == "A man sits, so."
    assert first.choices == ("He eats.", "He sleeps.", "He jumps, up.", "He ends.")
    assert (first.label, second.label) == (2, 0)
    assert second.choices[0] == second.choices[1] == "It eats."
    assert dev == train
    assert [(e.choices, e.label) for e in test] == [(e.choices, None) for e in train]
    assert TASKS["swag"].kind == Choices(most=4)
