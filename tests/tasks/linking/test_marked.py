import re

import pytest

from model.errors import InputError
from tasks.linking.marked import marked_document


def test_marks_are_left_out_and_mentions_are_where_they_were():
    document = marked_document("He had [[copper fever]], then [[night ataxia]]", "text 1")
    assert document.text == "He had copper fever, then night ataxia"
    assert [(m.start, m.text) for m in document.mentions] == [
        (7, "copper fever"),
        (26, "night ataxia"),
    ]
    for mention in document.mentions:
        assert document.text[mention.start :].startswith(mention.text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("He had copper fever", "f.txt, line 3, has no mention to link: mark it like [[this]]"),
        ("He [[had", "f.txt, line 3, has a mark without its other: each [[ should be"),
        ("[[a [[b]] c]]", "f.txt, line 3, has a mark without"),
        ("]]a[[", "f.txt, line 3, has a mark without"),
        ("a [[ - ]] b", "f.txt, line 3, has the mention ' - ', without a letter or"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        marked_document(text, "f.txt, line 3,")  # as `eval.asking.inputs` has it
