"""Tasks from the hub: read by the real client from a hub on this machine."""

import io
import json
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from model.errors import InputError
from tasks.catalogue import TASKS
from tasks.open import TaskDataConfig, open_task
from tests.hub_server import answers_of

TEXT = {"dtype": "string", "_type": "Value"}
WORDS = {"feature": TEXT, "_type": "List"}


def classes(*names: str) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


def parquet(features: dict[str, Any], *rows: dict[str, Any]) -> bytes:
    """A file as the hub keeps it, in which classes are numbers and the names are in the schema."""
    table = pyarrow.Table.from_pylist(list(rows))
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def card(**configs: tuple[str, ...]) -> bytes:
    """The README that says which files hold the splits of each config."""
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        lines += [f"  - split: {s}\n    path: {config}/{s}-00000.parquet" for s in splits]
    return "\n".join([*lines, "---", ""]).encode()


# The hub's own order of names is another than ours: rows must be read by name.
SST2 = {
    "sentence": TEXT,
    "label": classes("positive", "negative"),
    "idx": {"dtype": "int32", "_type": "Value"},
}
MNLI = {
    "premise": TEXT,
    "hypothesis": TEXT,
    "label": classes("contradiction", "neutral", "entailment"),
}
STSB = {"sentence1": TEXT, "sentence2": TEXT, "label": {"dtype": "float32", "_type": "Value"}}
NER = {
    "tokens": WORDS,
    "ner_tags": {"feature": classes("O", "I-person", "B-person"), "_type": "List"},
}
SQUAD = {
    "id": TEXT,
    "context": TEXT,
    "question": TEXT,
    "answers": {
        "text": WORDS,
        "answer_start": {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"},
    },
}
SWAG = {
    **dict.fromkeys(("video-id", "sent1", "sent2", "gold-source"), TEXT),
    **{f"ending{number}": TEXT for number in range(4)},
    "label": classes("0", "1", "2", "3"),
}
SITS = {"video-id": "v", "sent1": "A man sits.", "sent2": "He", "gold-source": "gold"}
SITS |= {f"ending{number}": ending for number, ending in enumerate("abcd")}
NEWS = {"text": TEXT, "label": {"dtype": "int64", "_type": "Value"}, "label_text": TEXT}


def asked(context: str, answer: str) -> dict[str, Any]:
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": "q", "context": context, "question": "Where?", "answers": answers}


REPOSITORIES = {
    ("nyu-mll/glue", "main"): {
        "README.md": card(
            sst2=("train", "validation", "test"),
            mnli=("validation_matched", "validation_mismatched"),
            stsb=("validation",),
        ),
        "sst2/train-00000.parquet": parquet(SST2, {"sentence": "good ", "label": 0, "idx": 5}),
        "sst2/validation-00000.parquet": parquet(SST2, {"sentence": "bad ", "label": 1, "idx": 0}),
        "sst2/test-00000.parquet": parquet(SST2, {"sentence": "so", "label": -1, "idx": 0}),
        "mnli/validation_matched-00000.parquet": parquet(
            MNLI, {"premise": "A", "hypothesis": "B", "label": 2}
        ),
        "mnli/validation_mismatched-00000.parquet": parquet(
            MNLI, {"premise": "A", "hypothesis": "", "label": 2}
        ),
        "stsb/validation-00000.parquet": parquet(
            STSB, {"sentence1": "A", "sentence2": "B", "label": 2.5}
        ),
    },
    ("leondz/wnut_17", "refs/convert/parquet"): {
        "wnut_17/validation/0000.parquet": parquet(
            NER, {"tokens": ["Ann", "Lee", "sang"], "ner_tags": [2, 1, 0]}
        )
    },
    ("rajpurkar/squad", "main"): {
        "README.md": card(plain_text=("validation",)),
        "plain_text/validation-00000.parquet": parquet(SQUAD, asked("In Köln.", "Köln")),
    },
    ("facebook/xnli", "main"): {
        "README.md": card(de=("test",), en=("test",)),
        "de/test-00000.parquet": parquet(MNLI, {"premise": "A", "hypothesis": "B", "label": 0}),
        "en/test-00000.parquet": parquet(MNLI, {"premise": "C", "hypothesis": "D", "label": 1}),
    },
    ("google/xquad", "main"): {
        "README.md": card(**{"xquad.th": ("validation",)}),
        "xquad.th/validation-00000.parquet": parquet(SQUAD, asked("อยู่ที่กรุงเทพ", "กรุงเทพ")),
    },
    ("google/xtreme", "main"): {
        "README.md": card(**{"MLQA.zh.en": ("test",), "MLQA.en.zh": ("test",)}),
        "MLQA.zh.en/test-00000.parquet": parquet(SQUAD, asked("在北京。", "北京")),
        "MLQA.en.zh/test-00000.parquet": parquet(SQUAD, asked("In Rome.", "Rome")),
    },
    ("allenai/swag", "main"): {
        "README.md": card(regular=("validation", "test"), full=("validation",)),
        **{
            f"regular/{split}-00000.parquet": parquet(SWAG, {**SITS, "label": label})
            for split, label in (("validation", 3), ("test", -1))
        },
    },
    ("SetFit/20_newsgroups", "main"): {
        "train.jsonl": b"".join(
            json.dumps({"text": text, "label": 7, "label_text": "sci.space"}).encode() + b"\n"
            for text in ("moon", "", "sun", "star")
        )
    },
}

# Answers one line of JSON for each "task split" on its command line.
READ = """
import json, sys
from dataclasses import asdict
from tasks.open import TaskDataConfig, open_task
from model.errors import InputError
for name in sys.argv[1:]:
    task, split = name.split()
    try:
        data = open_task(task, TaskDataConfig(), splits=(split,))
        answer = {"examples": [asdict(example) for example in data.splits[split]]}
        answer |= {"source": data.source, "notes": data.notes}
    except InputError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""
NAMES = (
    "sst2 train",
    "sst2 dev",
    "sst2 test",
    "mnli dev",
    "mnli dev_mismatched",
    "mnli train",
    "stsb dev",
    "wnut17 dev",
    "squad dev",
    "swag dev",
    "swag test",
    "xnli-de test",
    "xquad-th dev",
    "mlqa-zh-en test",
    "20newsgroups train",
    "imdb test",
)


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What each gives."""
    return answers_of(REPOSITORIES, READ, NAMES)


def only(answer: dict[str, Any]) -> dict[str, Any]:
    assert "examples" in answer, answer
    [example] = answer["examples"]
    assert not example.pop("remark", "")
    return example


def test_classes_are_read_by_name(answers):
    expected = {"id": "5", "text": "good ", "pair": None, "label": "positive"}
    assert only(answers["sst2 train"]) == expected
    assert only(answers["sst2 dev"])["label"] == "negative"
    assert only(answers["mnli dev"]) == {
        "id": "0",
        "text": "A",
        "pair": "B",
        "label": "entailment",
    }


def test_the_source_is_a_commit(answers):
    assert answers["sst2 dev"]["source"] == f"nyu-mll/glue:sst2@{'1' * 40}"
    assert answers["wnut17 dev"]["source"] == f"leondz/wnut_17@{'2' * 40}"


def test_a_test_set_keeps_its_labels_back(answers):
    assert only(answers["sst2 test"])["label"] is None
    assert only(answers["swag test"])["label"] is None


def test_values_tags_answers_and_choices(answers):
    assert only(answers["stsb dev"])["label"] == 2.5
    assert only(answers["wnut17 dev"]) == {
        "id": "0",
        "words": ["Ann", "Lee", "sang"],
        "tags": ["B-person", "I-person", "O"],
    }
    assert only(answers["squad dev"])["answers"] == [["Köln", 3]]
    assert only(answers["swag dev"]) == {
        "id": "0",
        "context": "A man sits.",
        "choices": ["He a", "He b", "He c", "He d"],
        "label": 3,
    }


def test_a_language_has_its_own_config(answers):
    example = only(answers["xnli-de test"])
    assert (example["text"], example["pair"], example["label"]) == ("A", "B", "contradiction")
    assert only(answers["xquad-th dev"])["answers"] == [["กรุงเทพ", 7]]
    assert only(answers["mlqa-zh-en test"])["context"] == "在北京。"


def test_documents_that_are_empty_are_left_out_there_too(answers):
    answer = answers["20newsgroups train"]
    assert len(answer["examples"]) == 2 and {e["label"] for e in answer["examples"]} == {
        "sci.space"
    }
    assert answer["notes"][0].startswith("train: 1 of 4 left out: empty without headers")
    assert answer["notes"][1].startswith("dev: 1 of the 3 training examples")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mnli dev_mismatched",
            "validation_mismatched row 1: the text of 'hypothesis' is empty",
        ),
        ("mnli train", "does not hold the train split of MNLI: looked for its split train"),
        ("imdb test", "stanfordnlp/imdb is neither a file or folder here nor a public data set"),
    ],
)
def test_what_is_wrong_is_one_sentence(name, message, answers):
    assert message in answers[name]["error"] and "\n" not in answers[name]["error"]


def test_without_a_network_the_flag_for_a_folder_is_offered():
    with pytest.raises(
        InputError, match=r"check the connection, or give the set's own files with --"
    ):
        open_task("sst2", TaskDataConfig())


def test_names_on_the_hub_are_names():
    from data.corpora.hub import HUB_NAME

    assert all(HUB_NAME.fullmatch(task.hub) for task in TASKS.values() if task.hub)
