import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from model.errors import InputError
from tasks.formats.conll import conll_rows
from tasks.open import TaskData, TaskDataConfig, open_task
from tasks.words.examples import TaggedExample
from tasks.words.scheme import to_iob2

CONLL2003 = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O
German JJ I-NP I-MISC
Bonn NNP I-NP I-LOC
Rome NNP I-NP B-LOC
call NN I-NP O

-DOCSTART- -X- O O

Peter NNP I-NP I-PER
Black NNP I-NP I-PER
"""
WNUT = "From\tO\nEmpire\tB-location\nState\tI-location\n\t\nEnd\tO"


def entities(tags) -> set[tuple[str, int, int]]:
    """(type, first, last) by the definition of both schemes, tag by tag."""
    found, start = set(), None
    for place, tag in enumerate([*tags, "O"]):
        continues = start is not None and tag == f"I-{tags[start][2:]}"
        if start is not None and not continues:
            found.add((tags[start][2:], start, place - 1))
            start = None
        if start is None and tag != "O":
            start = place
    return found


def examples(data: TaskData, split: str) -> Sequence[Any]:
    return data.splits[split]


def read(file: Path) -> list[dict]:
    return [dict(row.cells) for row in conll_rows(file, "train")]


@pytest.mark.parametrize(
    ("iob1", "iob2"),
    [
        ("I-A I-A O I-A", "B-A I-A O B-A"),
        ("I-A B-A I-A I-B", "B-A B-A I-A B-B"),
        ("O I-A I-B I-B B-B", "O B-A B-B I-B B-B"),
        ("", ""),
    ],
)
def test_iob1_becomes_iob2(iob1, iob2):
    tags = to_iob2(iob1.split())
    assert tags == tuple(iob2.split())
    assert entities(tags) == entities(iob1.split())
    assert to_iob2(tags) == tags


def test_conll_2003_as_published(tmp_path):
    (tmp_path / "eng.train").write_text(CONLL2003)
    data = open_task("conll2003", TaskDataConfig(root=tmp_path), splits=("train",))
    assert data.splits["train"] == (
        TaggedExample(
            "0",
            ("EU", "rejects", "German", "Bonn", "Rome", "call"),
            ("I-ORG", "O", "I-MISC", "I-LOC", "B-LOC", "O"),
        ),
        TaggedExample("1", ("Peter", "Black"), ("I-PER", "I-PER")),
    )
    assert data.task.labels[:3] == ("O", "B-PER", "I-PER") and len(data.task.labels) == 9


def test_wnut_as_published_in_its_folder_packed(tmp_path):
    (tmp_path / "wnut17").mkdir()
    with gzip.open(tmp_path / "wnut17" / "emerging.dev.conll.gz", "wt") as file:
        file.write(WNUT)
    data = open_task("wnut17", TaskDataConfig(root=tmp_path), splits=("dev",))
    assert [e.tags for e in examples(data, "dev")] == [("O", "B-location", "I-location"), ("O",)]


def test_words_keep_odd_characters(tmp_path):
    (tmp_path / "x").write_text("a b\tO\n\u2028\tO\n\xa0\tB-x\n", encoding="utf-8")
    assert read(tmp_path / "x") == [{"words": ["a b", "\u2028", "\xa0"], "tags": ["O", "O", "B-x"]}]


@pytest.mark.parametrize(
    ("content", "sentences"),
    [
        ("# text = A B\nA O\nB B-x\n\n# id 1\nC O\n", ["A/O B/B-x", "C/O"]),
        ("# id\nA\tO\n# a comment\nB\tB-x\n", ["A/O B/B-x"]),  # with a tab it would be a word
        ("#a O\n# O\nB O\n", ["#a/O #/O B/O"]),
        ("# O\n# B-x\n", ["#/O #/B-x"]),
        ("#\tO\nB\tO\n", ["#/O B/O"]),
        ("-DOCSTART-\n\nA X O\nB X B-x\n-DOCSTART- -X-\nC X O\n", ["A/O B/B-x", "C/O"]),
        ("-DOCSTART- -X- O O\n\nA O\n\n-DOCSTART- (1)\n\nB O\n", ["A/O", "B/O"]),
    ],
)
def test_comments_and_beginnings_of_documents_are_no_words(content, sentences, tmp_path):
    found = read(tagged(tmp_path, content))
    pairs = (zip(row["words"], row["tags"], strict=True) for row in found)
    assert [" ".join(map("/".join, each)) for each in pairs] == sentences


def test_one_column_is_words_without_tags(tmp_path):
    (tmp_path / "test.txt").write_text("A\nB\n\nC\n")
    assert read(tmp_path / "test.txt") == [{"words": ["A", "B"]}, {"words": ["C"]}]
    data = open_task("tags", TaskDataConfig(test=tmp_path / "test.txt", train=tagged(tmp_path)))
    assert data.splits["test"][0] == TaggedExample("0", ("A", "B"), None)


def tagged(folder: Path, content: str = "A B-x\n\nB O\n\nC I-y\nD I-y\n") -> Path:
    file = folder / "own.conll"
    file.write_text(content)
    return file


def test_the_tags_of_own_files_are_all_that_their_types_may_have(tmp_path):
    data = open_task("tags", TaskDataConfig(train=tagged(tmp_path), dev=tagged(tmp_path)))
    assert data.task.labels == ("O", "B-x", "I-x", "B-y", "I-y")
    assert examples(data, "dev")[2].tags == ("I-y", "I-y")
    assert data.notes[-2:] == (
        "train: the tags mark entities, in IOB1 or IOB2",
        "train: 2 types of entities: x 1, y 1",
    )
    units = tagged(tmp_path, "A B-x\nB L-x\n\nB O\n")
    data = open_task("tags", TaskDataConfig(train=units, dev=units))
    assert data.task.labels == ("O", "B-x", "I-x", "L-x", "U-x")


def test_plain_tags_are_classes_as_they_are_called(tmp_path):
    file = tagged(tmp_path, "A NOUN\nB B_PER\n\nC O\n\nD VERB\n")
    data = open_task("tags", TaskDataConfig(train=file, dev=file))
    assert data.task.labels == ("B_PER", "NOUN", "O", "VERB")
    assert data.task.metrics == ("accuracy", "macro_f1")
    assert examples(data, "dev")[0].tags == ("NOUN", "B_PER")
    assert data.notes[-2].startswith("train: the tags are plain, one a word: they are not of IOB1")
    assert data.notes[-1] == "train: 4 tags: B_PER 1, NOUN 1, O 1, VERB 1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("A O\nB\n", "line 2, has 1 columns, and the first word 2"),
        ("A O\n\nB x O\n", "line 3, has 3 columns, and the first word 2"),
        ("# id = 1\nA O\n#b\n", "line 3, has 1 columns, and the first word 2"),
        ("A O\nB S-x\n", "line 2: the tag 'S-x' of 'B' is none of O, B-x, I-x, B-y, I-y"),
        ("A\tO\nB\t\n", "line 2: the tag of 'B' is missing"),
        ("A\tO\n\tO\n", "line 1: a word is missing"),
        ("A O\n\nB O\nC B-z\n", "line 4: the tag 'B-z' of 'C' is none of O, B-x, I-x, B-y, I-y"),
    ],
)
def test_a_bad_line_is_named(content, message, tmp_path):
    train = tagged(tmp_path)
    dev = tmp_path / "dev.conll"
    dev.write_text(content)
    with pytest.raises(InputError) as caught:
        open_task("tags", TaskDataConfig(train=train, dev=dev))
    assert f"{dev}, {message}" in str(caught.value)
