"""Rows of documents and summaries, and one sentence for what is wrong in them."""

import json

import pytest

from data.rows import Row
from model.errors import InputError
from tasks.extractive.examples import DocumentColumns, DocumentExample
from tasks.extractive.kind import Extractive
from tasks.formats.rows import IncompleteError
from tasks.open import TaskDataConfig, open_task

ROW = {"text": ["A cat.", " ", "A dog\n sees."], "summary": "A dog."}


def example(columns=None, labelled=True, **changes):
    cells = {name: cell for name, cell in (ROW | changes).items() if cell != "absent"}
    return (columns or DocumentColumns(own=True)).example(Row("row", cells), 7, (), labelled)


def test_a_list_of_sentences_without_its_blank_ones():
    assert example() == DocumentExample("7", ("A cat.", "A dog sees."), ("A dog.",))
    assert example(labels=[0, 0, 1], title="Pets", id=3) == DocumentExample(
        "3", ("A cat.", "A dog sees."), ("A dog.",), (1,), "Pets"
    )
    assert example(labels=["oracle", 0, False]).chosen == (0,)


def test_a_text_is_split_and_summaries_may_be_several():
    found = example(text="One. Two.\nThree", summary=["a", "b"])
    assert found.sentences == ("One.", "Two.", "Three") and found.references == ("a", "b")
    assert example(summary="absent", labelled=False).references is None


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"text": "absent"}, InputError, "has no 'text'.*--data.text-field"),
        ({"summary": "absent"}, InputError, "has no 'summary'.*--data.label-field"),
        ({"text": [" "]}, IncompleteError, "row: the document has no sentence"),
        ({"text": ""}, IncompleteError, "row: the document has no sentence"),
        ({"text": 3}, InputError, "'text' is int, and should be a text or a list of sentences"),
        ({"summary": " "}, IncompleteError, "row: the summary 'summary' is empty"),
        ({"summary": []}, IncompleteError, "row: the summary 'summary' is empty"),
        ({"summary": [1]}, InputError, "should be a text, or a list of several people's"),
        ({"labels": [1, 0]}, InputError, "'labels' is 2 marks for 3 sentences: give a list of 0"),
        ({"labels": "101"}, InputError, "'labels' is str for 3 sentences"),
        ({"labels": [1, 0, 2]}, InputError, "'labels' has '2': give 0 or 1"),
    ],
)
def test_rows_that_are_refused(changes, error, sentence):
    with pytest.raises(error, match=sentence):
        example(**changes)


def test_the_published_files_of_scitldr(tmp_path):
    row = {
        "source": ["We sing.", "We dance.\n"],
        "source_labels": [0, 1],
        "rouge_scores": [0.1, 0.5],
        "paper_id": "x1",
        "target": ["They dance.", "Dancing."],
        "title": "On dancing",
    }
    (tmp_path / "SciTLDR-A").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "SciTLDR-A" / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    data = open_task("scitldr", TaskDataConfig(root=tmp_path))
    expected = DocumentExample(
        "x1", ("We sing.", "We dance."), ("They dance.", "Dancing."), (1,), "On dancing"
    )
    assert data.splits == dict.fromkeys(("train", "dev", "test"), (expected,))


def test_the_published_files_of_cnn_dailymail(tmp_path):
    text = 'id,article,highlights\na1,"One. Two.","First point .\nSecond point ."\na2,,none\n'
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.csv").write_text(text)
    data = open_task("cnn_dailymail", TaskDataConfig(root=tmp_path))
    [found] = data.splits["test"]
    assert found == DocumentExample("a1", ("One.", "Two."), ("First point .\nSecond point .",))
    assert "1 of 2 left out: without an article or its highlights" in " ".join(data.notes)


def test_a_users_summaries_say_how_long_a_summary_is():
    kind = Extractive()
    documents = [
        DocumentExample("0", ("a",), ("A b. C d.\nE",)),
        DocumentExample("1", ("a",), ("A",)),
    ]
    assert kind.of_examples(documents).sentences == 2
    assert kind.of_examples(documents[1:]).sentences == 1
