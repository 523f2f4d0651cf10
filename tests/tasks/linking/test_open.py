import json

import pytest

from model.errors import InputError
from tasks.linking.dictionary import read_dictionary
from tasks.linking.open import read_documents, remarks
from tests.tasks.linking.invented import ABSTRACTS, write_dictionary, write_documents

ODD = (
    "104",
    "Of sea legs and --.",
    "Nothing else.",
    (("sea legs", "Other", "D999999|D999998"), ("--", "Other", "D000001"), ("Nothing", "", "-1")),
)


@pytest.fixture
def dictionary(tmp_path):
    return read_dictionary(write_dictionary(tmp_path))


def test_the_format_goes_by_the_name(tmp_path):
    label = {"span": [0, 5], "entity_id": "Q60036"}
    (tmp_path / "a.JSONL").write_text(json.dumps({"text": "Heidi", "labels": [label]}))
    files = [write_documents(tmp_path), tmp_path / "a.JSONL"]
    assert [len(each.mentions) for each in read_documents(files)] == [5, 2, 2, 1]


def test_mentions_are_kept_by_their_type(tmp_path):
    documents = read_documents([write_documents(tmp_path)], ["Modifier", "CompositeMention"])
    assert [[m.text for m in each.mentions] for each in documents] == [
        ["late GBS"],
        ["Breast and ovarian cancer"],
        [],
    ]
    with pytest.raises(
        InputError, match="no mention is of type 'Chemical', only SpecificDisease, M"
    ):
        read_documents([write_documents(tmp_path)], ["Modifier", "Chemical"])


def test_a_file_without_mentions_is_refused(tmp_path):
    with pytest.raises(InputError, match="there are no mentions: give documents"):
        read_documents([write_documents(tmp_path, ("1", "A.", "B.", ()))])


def test_mentions_without_a_concept_are_nothing_to_link(tmp_path):
    nothing = (("A", "Disease", ""), ("B", "Disease", "-1"))
    with pytest.raises(InputError, match="no mention has the id of a concept"):
        read_documents([write_documents(tmp_path, ("1", "A.", "B.", nothing))])


def test_a_folder_is_no_file_of_documents(tmp_path):
    with pytest.raises(InputError, match=r"is a folder: .* a model comes before all flags"):
        read_documents([tmp_path])


def test_all_is_well_in_the_invented_set(tmp_path, dictionary):
    documents = read_documents([write_documents(tmp_path)])
    assert list(remarks(documents, dictionary)) == [
        "3 documents with 9 mentions, 10 concepts with 19 names"
    ]


def test_what_cannot_be_linked_is_counted(tmp_path, dictionary):
    file = write_documents(tmp_path, *ABSTRACTS, ODD)
    training = read_documents([write_documents(tmp_path, ABSTRACTS[0], name="train.txt")])
    counts, left_out, outside, marks, shared = remarks(read_documents([file]), dictionary, training)
    assert counts.startswith("4 documents with 11 mentions")
    assert left_out == "mentions of no concept, which are left out: 1"
    assert outside == (
        f"mentions with ids outside the dictionary: 1 ({file}, line 21: 'sea legs' "
        "D999999|D999998); without training mentions at most 90.9 % can be right"  # 10 of 11
    )
    assert marks == (
        f"mentions without letter or digit, which count as wrong: 1 ({file}, line 22: '--' D000001)"
    )
    assert shared == "documents that are among those of training, too, and so no test: 1 (101)"


def test_candidate_lists_without_a_right_one_are_counted(tmp_path, dictionary):
    label = {"span": [0, 5], "entity_id": "D000001", "candidates": ["D000002"]}
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "Heidi", "labels": [label]}))
    _, remark = remarks(read_documents([tmp_path / "a.jsonl"]), dictionary)
    assert remark.startswith("mentions with no right candidate: 1 (")
