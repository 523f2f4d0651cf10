import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import InputError
from tasks.open import TaskDataConfig, open_task
from tasks.questions.examples import Answer, QuestionExample
from tasks.questions.kind import Answers

CONTEXT = "Zoë moved to Köln in 1990."


def question(id: str = "q1", **settings: Any) -> dict:
    return {"id": id, "question": "Where to?", "answers": [answer("Köln", 13)], **settings}


def answer(text: str, start: Any) -> dict:
    return {"text": text, "answer_start": start}


def write(file: Path, *questions: dict, context: str = CONTEXT) -> Path:
    paragraph = {"context": context, "qas": list(questions)}
    file.write_text(
        json.dumps({"version": "1", "data": [{"title": "T", "paragraphs": [paragraph]}]})
    )
    return file


def read(root: Path, task: str = "squad", split: str = "dev") -> tuple:
    return open_task(task, TaskDataConfig(root=root), splits=(split,)).splits[split]


def test_answers_are_parts_of_the_context(tmp_path):
    write(tmp_path / "dev-v1.1.json", question(answers=[answer("Köln", 13), answer("in 1990", 18)]))
    [example] = read(tmp_path)
    assert example == QuestionExample(
        "q1", "Where to?", CONTEXT, (Answer("Köln", 13), Answer("in 1990", 18))
    )
    assert all(CONTEXT[a.start : a.start + len(a.text)] == a.text for a in example.answers)


def test_an_array_of_questions_is_a_table(tmp_path):
    one = {"question": "Where to?", "context": CONTEXT, "answers": [answer("Köln", 13)]}
    two = {"question": "Who?", "context": CONTEXT, "answer": "Zoë", "answer_start": 0}
    rows = [{"id": "a", **one}, {"id": "b", **two}]
    file = tmp_path / "own.json"
    file.write_text(json.dumps(rows))
    found = open_task("answers", TaskDataConfig(dev=file)).splits["dev"]
    assert found == (
        QuestionExample("a", "Where to?", CONTEXT, (Answer("Köln", 13),)),
        QuestionExample("b", "Who?", CONTEXT, (Answer("Zoë", 0),)),
    )
    file.write_text(json.dumps([rows[0], {"context": CONTEXT, "answer": ""}]))
    with pytest.raises(InputError, match=r"own.json, row 2, has no 'question' but"):
        open_task("answers", TaskDataConfig(dev=file))


def test_a_question_without_answer_has_none(tmp_path):
    impossible = question(
        "q2", answers=[], is_impossible=True, plausible_answers=[answer("Köln", 13)]
    )
    write(tmp_path / "dev-v2.0.json", question(is_impossible=False), impossible)
    assert [len(example.answers) for example in read(tmp_path, "squad2")] == [1, 0]


def test_a_part_of_a_file_may_have_a_longer_name(tmp_path):
    write(tmp_path / "train-v1.1.first100.json", question())
    assert len(read(tmp_path, split="train")) == 1
    write(tmp_path / "train-v1.1.second100.json", question())
    with pytest.raises(InputError, match=r"which of train-v1.1.first100.json, train-v1.1.second"):
        read(tmp_path, split="train")
    write(tmp_path / "train-v1.1.json", question(), question("q2"))
    assert len(read(tmp_path, split="train")) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"answers": [answer("Köln", 12)]}, "the answer 'Köln' is not in its context at 12"),
        ({"answers": [answer("köln", 13)]}, "where there is 'Köln'"),
        ({"answers": [answer(".", -1)]}, "not in its context at -1"),
        ({"answers": [answer("Köln", 99)]}, "where there is ''"),
        ({"answers": [answer("Köln", None)]}, "should have a text and its answer_start"),
        ({"answers": [answer("", 3)]}, "should have a text and its answer_start"),
        ({"answers": ["Köln"]}, "should have a text and its answer_start"),
        ({"question": " "}, "the text of 'question' is empty"),
        ({"is_impossible": True}, "is_impossible is true, and there is the answer 'Köln'"),
        ({"is_impossible": False, "answers": []}, "is_impossible is false, and there is no answer"),
        ({"is_impossible": "perhaps"}, "is_impossible is 'perhaps': give true or false"),
    ],
)
def test_a_bad_question_is_named(settings, message, tmp_path):
    file = write(tmp_path / "dev-v1.1.json", question(), question("q2", **settings))
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert f"{file}, question q2" in str(caught.value) and message in str(caught.value)


def test_two_questions_with_one_id(tmp_path):
    write(tmp_path / "dev-v1.1.json", question(), question())
    with pytest.raises(InputError, match=r"question q1: there was an example with the id 'q1'"):
        read(tmp_path)


def test_a_file_that_is_something_else(tmp_path):
    file = write(tmp_path / "dev-v1.1.json", question())
    whole = file.read_text()
    for content, message in (
        (whole[:-9], r"is not JSON, or cut short"),
        ("[" * 200_000, r"is not JSON, or cut short: it is nested too deeply"),
        ("5", r"does not have SQuAD's structure"),
        ("[]", r"there are no examples"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', r"there are no examples"),
        (whole.replace('"context"', '"text"'), r"SQuAD's structure.*'context'"),
    ):
        file.write_text(content)
        with pytest.raises(InputError, match=message):
            read(tmp_path)


def test_own_questions_as_json_jsonl_and_csv_are_the_same(tmp_path):
    as_json = write(tmp_path / "a.json", question(), question("q2", answers=[]))
    rows: list[dict[str, Any]] = [
        {"id": "q1", "question": "Where to?", "context": CONTEXT},
        {"id": "q2", "question": "Where to?", "context": CONTEXT},
    ]
    rows[0] |= {"answers": {"text": ["Köln"], "answer_start": [13]}}
    rows[1] |= {"answers": {"text": [], "answer_start": []}}
    as_jsonl = tmp_path / "a.jsonl"
    as_jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    as_csv = tmp_path / "a.csv"
    lines = ("id,question,context,answer,answer_start", f"q1,Where to?,{CONTEXT},Köln,13")
    as_csv.write_text("\n".join([*lines, f"q2,Where to?,{CONTEXT},,"]), encoding="utf-8")
    first, *others = (
        open_task("answers", TaskDataConfig(dev=file)).splits
        for file in (as_json, as_jsonl, as_csv)
    )
    assert len(first["dev"]) == 2 and others == [first, first]


def test_own_questions_decide_whether_there_may_be_no_answer(tmp_path):
    """Those of the training file, where it is read."""
    answered = write(tmp_path / "a.json", question(), question("q2"))
    both = write(tmp_path / "b.json", question(), question("q2", answers=[], is_impossible=True))
    for train, dev, threshold in ((answered, both, None), (both, answered, 0.0)):
        task = open_task("answers", TaskDataConfig(train=train, dev=dev)).task
        assert task.kind == Answers(null_threshold=threshold)
    assert open_task("answers", TaskDataConfig(test=both)).task.kind == Answers(0.0)
