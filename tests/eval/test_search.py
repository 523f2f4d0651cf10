"""Search on the command line: a model, words, and both re-ranked."""

import gzip
import io
import json
import sys

import pytest

from data.tokenizer import save_vocabulary
from eval import search as command
from eval.search import SearchConfig
from model.errors import InputError
from model.hf.weight_map import ENCODERS
from model.pretrained import save
from model.tasks import Embedder, SequenceClassification
from tests.small import BERT, DISTILBERT, build
from tests.spelling import speller

DOCUMENTS = [
    {"_id": "d1", "title": "Vitamin D", "text": "and cancer."},
    {"_id": "d2", "title": "", "text": "The earth moves."},
    {"_id": "d3", "title": "On the sun", "text": "It does not move, the earth does."},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder, vocabulary = tmp_path_factory.mktemp("home"), speller(lowercase=True)
    for name, model in (
        ("embedder", Embedder(build(ENCODERS["distilbert"], resized(DISTILBERT, vocabulary)))),
        ("cross", build(SequenceClassification, resized(BERT, vocabulary, labels=("LABEL_0",)))),
        ("classes", build(SequenceClassification, resized(BERT, vocabulary, labels=("a", "b")))),
    ):
        save(model, folder / name)
        save_vocabulary(vocabulary, folder / name)
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DOCUMENTS))
    return folder


def resized(config, vocabulary, **changes):
    return config.replace(vocab_size=vocabulary.size, **changes)


@pytest.fixture
def search(home, capsys):
    """Runs the command, and returns what it printed."""

    def search(model, *queries, **settings):
        model = str(home / model) if (home / model).exists() else model
        settings = {"corpus": home / "c.jsonl", "top": 2, "cache": home / "cache", **settings}
        command.search(SearchConfig(model=model, queries=queries, **settings))
        return capsys.readouterr().out

    return search


def objects(printed):
    return [json.loads(line) for line in printed.splitlines()]


def test_words_are_found_and_quoted(search):
    printed = search("bm25", "Does the EARTH move?", "vitamins", "zebra")
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert [line.split(" ", 2)[0::2] for line in lines[1:3]] == [
        ["1", "d3 On the sun It does not move, the earth does."],
        ["2", "d2 The earth moves."],
    ]
    assert lines[0] == "Does the EARTH move?" and lines[3] == ""
    assert lines[5].endswith("d1 Vitamin D and cancer.")
    assert lines[-1] == "nothing was found"


def test_a_model_and_words_beside_each_other(home, search):
    one = objects(search("embedder", "sun", jsonl=True))
    both = objects(search("embedder", "sun", bm25=True, jsonl=True))
    assert [each["search"] for each in both] == [str(home / "embedder"), "BM25"]
    assert both[0] == one[0] and len(one) == 1
    texts = {row["_id"]: f"{row['title']} {row['text']}".strip() for row in DOCUMENTS}
    for each in both:
        assert each["query"] == "sun"
        assert all(found["text"] == texts[found["id"]] for found in each["documents"])
    assert [found["id"] for found in both[1]["documents"]] == ["d3"]
    assert len(both[0]["documents"]) == 2
    printed = search("embedder", "sun", bm25=True)
    assert f"\n  {home / 'embedder'}:\n" in printed and "\n  BM25:\n" in printed


def test_a_cross_encoder_puts_what_was_found_into_its_order(home, search):
    reranked = objects(search("bm25", "earth", rerank=str(home / "cross"), jsonl=True))
    (plain,) = objects(search("bm25", "earth", jsonl=True))
    assert reranked[0]["search"] == "BM25, re-ranked"
    ids = [{found["id"] for found in each["documents"]} for each in (plain, reranked[0])]
    assert ids[0] == ids[1] == {"d2", "d3"}
    scores = [found["score"] for found in reranked[0]["documents"]]
    assert scores == sorted(scores, reverse=True)
    assert scores != [found["score"] for found in plain["documents"]]
    with pytest.raises(InputError, match="classes is no cross-encoder: that is a classifier of"):
        search("bm25", "earth", rerank=str(home / "classes"))


def test_queries_of_a_file_and_of_standard_input(search, tmp_path, monkeypatch):
    rows = [{"id": "q7", "text": "sun"}, {"id": 8, "text": "vitamin"}]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = objects(search("bm25", file=tmp_path / "q.jsonl", jsonl=True))
    assert [each["id"] for each in found] == ["q7", 8]
    assert [each["documents"][0]["id"] for each in found] == ["d3", "d1"]
    monkeypatch.setattr("eval.asking.inputs.select", lambda *_: ([1], [], []))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"sun\nvitamin\n")))
    again = objects(search("bm25", jsonl=True))
    assert [each["documents"] for each in again] == [each["documents"] for each in found]


def test_a_corpus_of_fewer_documents_than_are_shown_is_shown_whole(search):
    [line] = objects(search("embedder", "sun", top=None, jsonl=True))
    assert len(line["documents"]) == 3


def test_a_packed_corpus_is_the_same(home, search, tmp_path):
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress((home / "c.jsonl").read_bytes()))
    assert search("embedder", "sun", corpus=packed) == search("embedder", "sun")


@pytest.mark.parametrize(
    ("model", "settings", "match"),
    [
        ("bm25", {"top": 4}, r"--top 4: .*c.jsonl has 3 documents with a text: give --top 3 or"),
        ("bm25", {"max_length": 9}, "--max-length is for a model, and bm25 reads all words"),
        ("bm25", {"candidates": 1, "rerank": "cross"}, "--top 2: --rerank reads --candidates 1"),
        ("embedder", {"top": 0}, "--top is 0: give a number from 1"),
        ("bm25", {"corpus": "none.jsonl"}, "none.jsonl does not exist, or is a folder"),
        ("bm25", {"corpus": "c.csv"}, r"the name should end in .jsonl or .jsonl.gz"),
    ],
)
def test_what_makes_no_sense_is_refused(model, settings, match, home, search, tmp_path):
    (home / "c.csv").write_text("text\nx\n")
    if "corpus" in settings:
        settings = {**settings, "corpus": home / settings["corpus"]}
    with pytest.raises(InputError, match=match):
        search(model, "sun", **settings)


def test_wrong_queries_are_refused_before_a_model_reads(search, tmp_path):
    with pytest.raises(InputError, match="text 1 is empty"):
        search("no-model-of-this-name", " ")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        search("no-model-of-this-name", file=tmp_path / "none.txt")
