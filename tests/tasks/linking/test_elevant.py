import json

import pytest

from model.errors import InputError
from tasks.linking.elevant import elevant_documents

TEXT = "Heidi and her husband Seal live in Vegas."


def read(folder, *documents):
    file = folder / "set.benchmark.jsonl"
    file.write_text("".join(f"{json.dumps(document)}\n" for document in documents))
    return list(elevant_documents(file))


def label(start, end, id, **more):
    return {"span": [start, end], "entity_id": id, **more}


def test_labels_become_mentions_in_their_order(tmp_path):
    labels = [label(35, 40, "Q23768", type="Q43229"), label(0, 5, "Q60036")]
    (document,) = read(tmp_path, {"id": 2, "text": TEXT, "labels": labels})
    assert document.id == "2"
    assert [(m.start, m.text, m.ids) for m in document.mentions] == [
        (0, "Heidi", ("Q60036",)),
        (35, "Vegas", ("Q23768",)),
    ]
    assert document.mentions[1].type == "Q43229"
    assert [m.candidates for m in document.mentions] == [None, None]


def test_candidates_are_of_the_label_or_of_the_linker_mention_with_its_span(tmp_path):
    labels = [label(0, 5, "Q60036", candidates=["Q1", "Q60036"]), label(35, 40, "Q23768")]
    found = [
        {"span": [35, 40], "id": "Q2", "candidates": ["Q2", "Q3"]},
        {"span": [35, 39], "id": "Q4", "candidates": ["Q4"]},
    ]
    (document,) = read(tmp_path, {"text": TEXT, "labels": labels, "entity_mentions": found})
    assert [m.candidates for m in document.mentions] == [("Q1", "Q60036"), ("Q2", "Q3")]


def test_unknown_entities_have_no_ids_and_optional_labels_are_left_out(tmp_path):
    labels = [label(0, 5, "Unknown"), label(6, 9, None), label(22, 26, "Q218091", optional=True)]
    (document,) = read(tmp_path, {"text": TEXT, "labels": labels})
    assert [m.ids for m in document.mentions] == [(), ()]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"labels": []}, r"line 1, has no 'text'"),
        ({"text": TEXT, "labels": [{"span": [0, 5]}]}, r"line 1: labels should be .*'entity_id'"),
        ({"text": TEXT, "labels": [label(0, None, "Q1")]}, "line 1: labels should be objects like"),
        ({"text": TEXT, "labels": [label(0, float("inf"), "Q1")]}, "line 1: labels should be"),
        (
            {"text": TEXT, "labels": [label(0, 5, "Q1", candidates="Q1")]},
            "line 1: the candidates of 'Heidi' should be a list of ids, and are 'Q1'",
        ),
        (
            {"text": TEXT, "labels": [label(0, 5, ["Q1"])]},
            r"line 1: the entity_id of 'Heidi' should be a text, and is \['Q1'\]",
        ),
        ({"text": TEXT, "labels": [label(0, 99, "Q1")]}, "line 1: .* 0 to 99 of a text of 41"),
        (
            {"text": TEXT, "labels": [label(0, 5, "Q1", mention="Seal")]},
            "line 1: characters 0 to 5 are 'Heidi', and not the mention 'Seal'",
        ),
    ],
)
def test_bad_lines_are_named(tmp_path, document, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, document)
