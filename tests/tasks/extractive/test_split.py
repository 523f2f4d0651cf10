"""Sentences of running text."""

import pytest

from tasks.extractive.split import sentence_spans, split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            'He said: "Go." She went (home.) 3 left.',
            ['He said: "Go."', "She went (home.)", "3 left."],
        ),
        ("Dr. A. Smith of the U.S. Army et al. Found 2.5 kg.", None),
        ("We win, e.g. The cup, i.e. No. 5.", None),
        ("it ends. but not here... No", ["it ends. but not here...", "No"]),
        ("first line\n\n  second line \r\nthird", ["first line", "second line", "third"]),
        ("今日は。雨です。", ["今日は。", "雨です。"]),
        (" \n ", []),
    ],
)
def test_sentences(text, sentences):
    found = split_sentences(text)
    assert list(found) == ([text] if sentences is None else sentences)
    assert all(
        text[start:end] == s for (start, end), s in zip(sentence_spans(text), found, strict=True)
    )
