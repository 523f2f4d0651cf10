"""Texts of a user: what each row of a table and each line asks, and what is wrong with it."""

import json
import os
from dataclasses import replace
from itertools import chain

import pyarrow
import pyarrow.parquet
import pytest

from eval.asking.inference import Input
from eval.asking.inputs import read_inputs
from model.errors import InputError
from tasks.kinds import KINDS
from tasks.reading import Asked, Reading
from tasks.words.encode import check_text

CLASSES, TAGS, ANSWERS, CHOICES = (
    KINDS[name] for name in ("classification", "tags", "answers", "choices")
)
SHORT = Reading(max_length=9)
PAIRS = [Input("line 2,", "a", Asked(pair="b", reading=SHORT), "x"),
         Input("line 3,", "c, d", Asked(pair="e", reading=SHORT), "y")]  # fmt: skip


def read(kind, file, asked=Asked()):  # noqa: B008
    chunks = read_inputs(kind, (), file, asked, lambda each: check_text(each.text, each.place))
    return [each._replace(place=each.place.removeprefix(f"{file}, ")) for each in chain(*chunks)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'id,text,pair,label\nx,a,b,0\ny,"c, d",e,\n'),
        ("a.CSV", "text;pair;id\na;b;x\nc, d;e;y\n"),
        ("a.tsv", "id\ttext\tpair\nx\ta\tb\ny\tc, d\te\n"),
        ("a.jsonl", '\n{"id": "x", "text": "a", "pair": "b"}\n'
         '{"id": "y", "text": "c, d", "pair": "e", "label": {}}\n'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_pairs_in_the_rows_of_a_table(kind, name, content, tmp_path):
    file = tmp_path / name
    file.write_text(content)
    assert read(KINDS[kind], file, Asked(reading=SHORT)) == PAIRS


def test_rows_that_are_no_lines(tmp_path):
    rows = [{"id": n, "text": f"t{n}"} for n in range(3)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.parquet", "a.json"):
        found = read(TAGS, tmp_path / name)
        assert found == [Input(f"row {n + 1},", f"t{n}", Asked(), n) for n in range(3)]


def test_questions_in_every_row_and_one_for_all(tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [{"context": "a b", "question": "b?"}, {"context": "c", "question": "d?"}]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = [(each.text, each.asked.question, each.id) for each in read(ANSWERS, file)]
    assert found == [("a b", "b?", None), ("c", "d?", None)]
    file.write_text(json.dumps({"context": "a b", "id": 2}))
    [one] = read(ANSWERS, file, Asked(question="e?"))
    assert one == Input("line 1,", "a b", Asked(question="e?"), 2)


def test_choices_in_every_row_and_the_same_for_all(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text,choice0,choice1,choice2\na,b,c,\nd,e,f,g\n")
    found = [(each.text, each.asked.choices) for each in read(CHOICES, file)]
    assert found == [("a", ("b", "c")), ("d", ("e", "f", "g"))]
    file.write_text("id,text\n2,a\n")
    asked = Asked(choices=("b", "c"))
    assert read(CHOICES, file, asked) == [Input("line 2,", "a", asked, "2")]


def test_squads_questions_have_their_ids(tmp_path):
    """Of the array of rows and of SQuAD's own structure."""
    rows = [{"id": "x", "question": "b?"}, {"id": "y", "question": "c?"}]
    for content in ([{**row, "context": "a b"} for row in rows],
                    {"data": [{"paragraphs": [{"context": "a b", "qas": rows}]}]}):  # fmt: skip
        (tmp_path / "a.json").write_text(json.dumps(content))
        found = [
            (each.text, each.asked.question, each.id) for each in read(ANSWERS, tmp_path / "a.json")
        ]
        assert found == [("a b", "b?", "x"), ("a b", "c?", "y")]


@pytest.mark.parametrize("kind", [CLASSES, TAGS, None])
def test_a_plain_file_is_a_text_a_line(kind, tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("text,pair\na,b\r\n")
    assert [(each.place, each.text) for each in read(kind, file)] == [
        ("line 1,", "text,pair"),
        ("line 2,", "a,b"),
    ]


@pytest.mark.parametrize(
    ("kind", "name", "content", "asked", "message"),
    [
        (CLASSES, "a.csv", "review\na\n", {}, "a.csv, line 2, has no 'text' but 'review'"),
        (None, "a.csv", "review\na\n", {}, "a.csv, line 2, has no 'text' but 'review'"),
        (CLASSES, "a.csv", "text,pair\na,b\nc,\n", {}, "line 3: the text of 'pair' is empty"),
        (TAGS, "a.csv", "id,text\n1,a\n\n2, \n", {}, "line 4: the text of 'text' is empty"),
        (CLASSES, "a.csv", "text,pair\na\n", {}, "line 2, has 1 column instead of 2"),
        (TAGS, "a.jsonl", '{"text": ["a"]}\n', {}, "line 1: 'text' is list, not text"),
        (CLASSES, "a.jsonl", '{"text": 5}\n', {}, "line 1: 'text' is int, not text"),
        (CLASSES, "a.jsonl", '{"text": "a", "pair": 5}\n', {}, "line 1: 'pair' is int, not text"),
        (CLASSES, "a.jsonl", '{"text": "\\ud800"}\n', {}, "line 1, is not UTF-8 text"),
        (CLASSES, "a.jsonl", '{"text": "a", "pair": "\\ud800"}\n', {}, "1: 'pair' is not UTF-8"),
        (CLASSES, "a.jsonl", '{"text": "a"}\n{"text": "b", "pair": "c"}\n', {},
         "line 2, has a 'pair', unlike the rows before it: give all rows one, or none"),
        (CLASSES, "a.jsonl", '{"text": "a", "pair": "c"}\n{"text": "b"}\n', {},
         "line 2, has no 'pair', unlike the rows before it"),
        (CLASSES, "a.csv", "text,pair\na,b\n", {"pair": "c"},
         "line 2, has its own 'pair': leave out --pair, or the column"),
        (CLASSES, "a.csv", "text\na\n", {"question": "c"}, "--question means nothing to a class"),
        (ANSWERS, "a.csv", "text\na\n", {}, "line 2, has no 'context' but 'text'"),
        (ANSWERS, "a.csv", "context\na\n", {}, "line 2, has no 'question' but 'context'"),
        (ANSWERS, "a.csv", "context,question\na,b\n", {"question": "c"}, "has its own 'question'"),
        (CHOICES, "a.csv", "text\na\n", {}, "line 2, has no 'choices' or 'choice0' but 'text'"),
        (CHOICES, "a.jsonl", '{"text": "a", "choices": ["b", "c"]}\n', {"choices": ("d", "e")},
         "line 1, has its own 'choices': leave out --choices, or the column"),
        (CHOICES, "a.jsonl", '{"text": "a", "choices": ["b", "\\ud800"]}\n', {},
         "line 1: 'choices' is not UTF-8"),
        (CHOICES, "a.csv", "text,choice0,choice1\na,b,b\n", {}, "choices 0 and 1 are the same"),
        (CLASSES, "a.csv", "text\n", {}, "a.csv has no text"),
        (ANSWERS, "a.txt", "a\n", {}, "ask one with --question"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(kind, name, content, asked, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read(kind, tmp_path / name, replace(Asked(), **asked))
    assert "\n" not in str(error.value)


def test_what_comes_before_an_error_comes_first(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"a\n" * 600 + b"\xe9\n")
    chunks = read_inputs(CLASSES, (), file, Asked(), lambda each: None)
    assert [len(next(chunks)) for _ in range(3)] == [256, 256, 88]
    with pytest.raises(InputError, match="line 601, is not UTF-8"):
        next(chunks)


def test_lines_are_asked_about_before_the_next_are_written(monkeypatch):
    """A program that waits for an answer before it writes its next line is answered."""
    end, written = os.pipe()
    os.set_blocking(end, False)  # so that waiting in the wrong place is a failure, and does not end
    with os.fdopen(end) as lines:
        monkeypatch.setattr("sys.stdin", lines)
        chunks = read_inputs(CLASSES, (), None, Asked(), lambda each: None)
        os.write(written, b"a\nb\n")
        assert [each.text for each in next(chunks)] == ["a", "b"]
        os.write(written, b"\xc3")
        os.write(written, b"\xa9\n\nhalf")
        assert [each.text for each in next(chunks)] == ["é"]
        os.write(written, b" a line")
        os.close(written)
        last = Input("standard input, line 5,", "half a line", Asked())
        assert list(chunks) == [[last]]
