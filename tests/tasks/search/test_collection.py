"""Collections in BEIR's format: in folders, packed, and on the hub."""

import gzip
import json

import pytest

from model.errors import InputError
from tasks.search.collection import open_collection
from tasks.search.documents import JsonlFile, open_documents
from tests.hub_server import answers_of

DOCUMENTS = [
    {"_id": "d1", "title": "Vitamin D", "text": "and cancer.", "metadata": {}},
    {"_id": "d2", "title": "", "text": "The earth moves."},
    {"_id": "d3", "title": "Iron", "text": ""},
]
QUERIES = [{"_id": "q2", "text": "does it move?"}, {"_id": "q1", "text": "vitamins"}]
QRELS = ["query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\t0", "q2\td2\t1"]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "set"
    (place / "qrels").mkdir(parents=True)
    (place / "corpus.jsonl").write_text(lines(DOCUMENTS))
    (place / "queries.jsonl").write_text(lines([*QUERIES, {"_id": "q3", "text": "of train"}]))
    (place / "qrels" / "test.tsv").write_text("\n".join(QRELS) + "\n")
    return place


def opened(folder, split="test"):
    return open_collection(str(folder), split, folder.parent / "cache")


def refused(folder, match, split="test"):
    with pytest.raises(InputError, match=match) as caught:
        opened(folder, split)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_is_read_as_beir_reads_it(folder, packed):
    """Queries without judged documents are left out; a title and a text are one text."""
    if packed:
        content = (folder / "corpus.jsonl").read_bytes()
        (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(content))
        (folder / "corpus.jsonl").unlink()
    found = opened(folder)
    assert found.corpus.ids == ("d1", "d2", "d3")
    texts = ["Vitamin D and cancer.", "The earth moves.", "Iron"]
    assert list(found.corpus.texts()) == texts
    assert list(found.corpus.texts([0, 2])) == [texts[0], texts[2]]
    assert list(found.queries.items()) == [("q2", "does it move?"), ("q1", "vitamins")]
    assert found.grades == {"q2": {"d2": 1}, "q1": {"d1": 2, "d2": 0}}
    assert list(found.grades) == list(found.queries)


def test_judged_ids_must_be_there(folder):
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\td8\t1\nq2\td9\t1\nq2\td8\t1\n")
    refused(folder, r"test.tsv, line 5: the document 'd8' is not in .*corpus.jsonl \(nor are 1 oth")
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q9\td1\t1\n")
    refused(folder, r"test.tsv, line 8: the query 'q9' is not in .*queries.jsonl$")


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("q1\td3\t-1", r"line 5: the score is '-1', and must be an integer from 0"),
        ("q1\td3\t0.5", r"line 5: the score is '0.5', and must be"),
        ("q1\td3", r"line 5, has 2 columns instead of 3: query-id, corpus-id, score"),
        ("q1\td1\t1", r"line 5: 'd1' was judged for the query 'q1' before"),
    ],
)
def test_grades_that_mean_nothing_are_refused(line, match, folder):
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write(line + "\n")
    refused(folder, match)


def test_qrels_without_names_of_columns_are_refused(folder):
    (folder / "qrels" / "test.tsv").write_text("q1\t0\td1\t1\nq1\t0\td2\t1\n")
    refused(folder, "test.tsv, line 2, has no 'query-id' but 'q1', '0', 'd1', '1'")


def test_ids_that_are_there_twice_are_refused(folder):
    (folder / "corpus.jsonl").write_text(lines([*DOCUMENTS, {"id": "d2", "text": "x"}]))
    refused(folder, r"corpus.jsonl, line 4: the id 'd2' is that of line 2, too")
    (folder / "queries.jsonl").write_text(lines([*QUERIES, QUERIES[0]]))
    refused(folder, r"queries.jsonl, line 3: the id 'q2' is that of line 1, too")


def test_torn_files_are_named(folder):
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d4", "text": "to')
    refused(folder, r"corpus.jsonl, line 4, is not JSON \(Unterminated string")
    (folder / "corpus.jsonl").write_text(lines([{"_id": "d1", "contents": "x"}]))
    refused(folder, r"corpus.jsonl, line 1, has no 'text' but '_id', 'contents'")


def test_what_is_missing_is_named(folder):
    refused(folder, r"qrels/dev.tsv does not exist: give --split test", split="dev")
    (folder / "queries.jsonl").unlink()
    refused(folder, "does not hold queries.jsonl or queries.jsonl.gz: it should hold one of them")
    with pytest.raises(InputError, match="nothing is neither a folder"):
        opened(folder / "nothing")


def test_documents_without_a_text_are_counted_and_left_out(folder, capsys):
    """They are also when they were counted by an earlier command; they may be judged."""
    empty = [{"_id": "d8", "text": " "}, {"_id": "d9", "title": "", "text": ""}]
    (folder / "corpus.jsonl").write_text(lines([DOCUMENTS[0], empty[0], DOCUMENTS[1], empty[1]]))
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\td8\t1\n")
    for _ in range(2):
        found = opened(folder)
        assert found.corpus.ids == ("d1", "d2") and found.grades["q1"]["d8"] == 1
        assert list(found.corpus.texts([1])) == ["The earth moves."]
        sentence = "line 2: the document has no text, and cannot be found (so are 1 more)\n"
        assert capsys.readouterr().err.endswith(sentence)
    (folder / "corpus.jsonl").write_text(lines(empty))
    refused(folder, "has no document with a text")


def test_documents_without_ids_are_called_by_their_lines(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"text": "x"}\n\n{"text": "y", "id": 7}\n{"text": "z"}\n')
    corpus = open_documents(JsonlFile(tmp_path / "mine.jsonl"), tmp_path)
    assert corpus.ids == ("1", "7", "4")


def test_a_corpus_is_read_once_as_long_as_it_stays_the_same(tmp_path, monkeypatch):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"text": "x"}\n')
    first = open_documents(JsonlFile(file), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(JsonlFile, "rows", lambda _: pytest.fail("is read again"))
        again = open_documents(JsonlFile(file), tmp_path)
    assert again.ids == first.ids and again.fingerprint == first.fingerprint
    file.write_text('{"text": "y"}\n{"text": "x"}\n')
    changed = open_documents(JsonlFile(file), tmp_path)
    assert list(changed.texts()) == ["y", "x"] and changed.fingerprint != first.fingerprint


READ = """
import json, sys, tempfile
from pathlib import Path
from model.errors import InputError
from tasks.search.collection import open_collection
for name in sys.argv[1:]:
    name, _, split = name.partition(" ")
    try:
        found = open_collection(name, split, Path(tempfile.mkdtemp()))
        print(json.dumps([found.name, found.corpus.ids, list(found.corpus.texts([0, 2])),
                          found.queries, found.grades]))
    except InputError as error:
        print(json.dumps(str(error)))
"""
CARD = """---
configs:
- config_name: default
  data_files:
  - split: test
    path: qrels/test.jsonl
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus.jsonl
- config_name: queries
  data_files:
  - split: queries
    path: queries.jsonl
---
"""
JUDGED = [dict(zip(QRELS[0].split("\t"), line.split("\t"), strict=True)) for line in QRELS[1:]]
REPOSITORIES = {
    ("mteb/tiny", "main"): {
        "README.md": CARD.encode(),
        "corpus.jsonl": lines(DOCUMENTS).encode(),
        "queries.jsonl": lines(QUERIES).encode(),
        "qrels/test.jsonl": lines([{**j, "score": float(j["score"])} for j in JUDGED]).encode(),
    },
}


def test_rows_of_the_hub_are_the_same_collection(folder, monkeypatch):
    parts = {"corpus": DOCUMENTS, "queries": QUERIES, "default": None}
    graded = [{**each, "score": float(each["score"])} for each in JUDGED]

    def load_splits(name, **_):
        part = name.removeprefix("me/set:").removesuffix("@v2")
        return "c0ffee", {"test": graded} if part == "default" else {part: parts[part]}

    monkeypatch.setattr("tasks.search.collection.load_splits", load_splits)
    found = open_collection("me/set@v2", "test", folder.parent)
    local = opened(folder)
    assert found.name == "me/set@c0ffee" and found.corpus.ids == local.corpus.ids
    assert list(found.corpus.texts([0, 2])) == list(local.corpus.texts([0, 2]))
    assert (found.queries, found.grades) == (local.queries, local.grades)


@pytest.mark.long
def test_a_set_on_the_hub_is_the_same_collection():
    read = answers_of(REPOSITORIES, READ, ["mteb/tiny test", "mteb/tiny dev", "mteb/tiny:x test"])
    assert read["mteb/tiny test"] == [
        f"mteb/tiny@{'1' * 40}",
        ["d1", "d2", "d3"],
        ["Vitamin D and cancer.", "Iron"],
        {"q2": "does it move?", "q1": "vitamins"},
        {"q2": {"d2": 1}, "q1": {"d1": 2, "d2": 0}},
    ]
    assert "has no split dev: give --split test" in read["mteb/tiny dev"]
    assert "leave out :x" in read["mteb/tiny:x test"]
