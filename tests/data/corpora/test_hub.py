"""Data sets of the hub, streamed by the real client from a hub on this machine."""

import json
import time
from typing import Any

import pytest

from data.config import DataConfig
from data.corpora.open import open_corpus
from model.errors import InputError
from tests.hub_server import answers_of


def lines(*texts: str, field: str = "text") -> bytes:
    return "".join(json.dumps({field: text}) + "\n" for text in texts).encode()


CARD = {"README.md": b"---\nlicense: mit\n---\n"}
WIKITEXT_CARD = {
    "README.md": b"---\nconfigs:\n- config_name: wikitext-2-v1\n  data_files:\n"
    b"  - split: train\n    path: two/train.jsonl\n  - split: test\n    path: two/test.jsonl\n---\n"
}
REPOSITORIES = {
    ("owner/plain", "main"): {**CARD, "train.jsonl": lines(*(f"row {n}" for n in range(40)))},
    ("owner/parts", "main"): {
        **CARD,
        "train.jsonl": lines("a train row"),
        "validation.jsonl": lines("a validation row"),
        "test.jsonl": lines("a test row"),
    },
    ("owner/wikitext", "main"): {
        **WIKITEXT_CARD,
        "two/train.jsonl": lines(
            "", " = One = ", "", " a <unk> @-@ b ", "", " = Two = ", "", " c "
        ),
        "two/test.jsonl": lines("", " = Three = ", "", " d "),
    },
    ("owner/script", "main"): {**CARD, "script.py": b"raise SystemExit('never run this')"},
    ("owner/script", "refs/convert/parquet"): {
        "plain_text/train/0000.jsonl": lines(*(f"book {n}" for n in range(30)))
    },
    ("owner/body", "main"): {**CARD, "train.jsonl": lines("x", "y", field="body")},
    ("owner/evaluate", "main"): {**CARD, "test.jsonl": lines("only a test")},
}

# Answers one line of JSON for each corpus named on its command line.
READ = """
import json, sys
from data.config import DataConfig
from data.corpora.open import open_corpus
for name in sys.argv[1:]:
    try:
        corpus = open_corpus(DataConfig(corpus=(name,)))
        answer = {split: list(corpus.texts(split)) for split in ("train", "heldout")}
        answer |= {"commit": corpus.manifest[name]["commit"], "fingerprint": corpus.fingerprint}
    except ValueError as error:
        answer = {"error": str(error), "kind": type(error).__name__}
    print(json.dumps(answer), flush=True)
"""
NAMES = (
    "owner/plain",
    "owner/parts",
    "owner/wikitext:wikitext-2-v1",
    "owner/script",
    "owner/script@refs/convert/parquet",
    "owner/body",
    "owner/evaluate",
    "owner/absent",
    "owner/plain@v9",
    "owner/plain:big",
)


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """The answer for each name."""
    return answers_of(REPOSITORIES, READ, NAMES)


@pytest.mark.long
def test_a_share_of_the_rows_is_held_out(answers):
    answer = answers["owner/plain"]
    assert sorted(text for text, _ in answer["train"] + answer["heldout"]) == sorted(
        f"row {n}" for n in range(40)
    )
    assert 1 <= len(answer["heldout"]) <= 4
    assert answer["commit"] == "1" * 40


@pytest.mark.long
def test_a_validation_split_is_held_out_before_a_test_split(answers):
    assert answers["owner/parts"]["train"] == [["a train row", "train:0"]]
    assert answers["owner/parts"]["heldout"] == [["a validation row", "validation:0"]]


def test_a_config_of_wikitext_has_articles_and_plain_spelling(answers):
    answer = answers["owner/wikitext:wikitext-2-v1"]
    assert answer["train"] == [
        ["= One =", "train#1"],
        ["a [UNK]-b", "train#1"],
        ["= Two =", "train#2"],
        ["c", "train#2"],
    ]
    assert [text for text, _ in answer["heldout"]] == ["= Three =", "d"]


def test_a_set_made_by_a_script_is_read_from_its_parquet_copy_only(answers):
    assert "give owner/script@refs/convert/parquet" in answers["owner/script"]["error"]
    copy = answers["owner/script@refs/convert/parquet"]
    assert len(copy["train"] + copy["heldout"]) == 30
    assert copy["commit"] == "5" * 40


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("owner/body", "owner/body, train row 1, has no 'text' but 'body'"),
        ("owner/evaluate", "has no split `train`, only test"),
        ("owner/absent", "owner/absent is neither a file or folder here nor a public data set"),
        ("owner/plain@v9", "owner/plain has no revision 'v9'"),
        ("owner/plain:big", "owner/plain:big cannot be read from the hub"),
    ],
)
def test_a_bad_name_is_one_sentence(name, message, answers):
    assert answers[name]["kind"] == "InputError"
    assert message in answers[name]["error"] and "\n" not in answers[name]["error"]


def test_without_a_network_a_hub_name_fails_at_once():
    start = time.monotonic()
    with pytest.raises(InputError, match="owner/name is no file or folder here") as caught:
        open_corpus(DataConfig(corpus=("owner/name",)))
    assert "hub cannot be reached" in str(caught.value) and "\n" not in str(caught.value)
    assert time.monotonic() - start < 15  # the client's own retries take 23 s
