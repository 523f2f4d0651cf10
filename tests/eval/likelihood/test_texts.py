"""What counts of a text, and the windows in which it is read."""

import numpy as np
import pytest

from data.corpora.text import Text
from data.wordpiece import train_wordpiece
from eval.likelihood.texts import TokenisedText, choose_texts, reading_windows, tokenise_text
from tests import runs

VOCABULARY = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)
SPECIAL = VOCABULARY.special


def test_unknown_words_count_neither_as_tokens_nor_as_characters():
    text = tokenise_text(Text("the  cat\tsees 漢 [UNK] and\n", "a"), VOCABULARY)
    assert [VOCABULARY.pieces[token] for token in text.ids[text.counted]] == [
        *("the", "cat", "sees", "and")
    ]
    assert text.characters == len("the cat sees   and")
    assert text.count == 4


def test_pieces_of_a_word_have_its_number():
    text = tokenise_text(Text("the catdog sees", "a"), VOCABULARY)
    pieces = [VOCABULARY.pieces[token] for token in text.ids]
    assert len(pieces) > 3
    starts = [not piece.startswith("##") for piece in pieces]
    assert (np.diff(text.words, prepend=-1) != 0).tolist() == starts


def of_length(length: int) -> TokenisedText:
    numbers = np.arange(length, dtype=np.int32)
    return TokenisedText("a", 5 + numbers, numbers, numbers % 4 != 3, 10)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (6, [(0, 6, 0)]),
        (8, [(0, 8, 0)]),
        # Each further window begins with half a window that was scored before.
        (9, [(0, 8, 0), (1, 9, 8)]),
        (19, [(0, 8, 0), (4, 12, 8), (8, 16, 12), (11, 19, 16)]),
    ],
)
def test_windows_score_every_token_once(length, expected):
    text = of_length(length)
    windows = [*reading_windows([of_length(3), text], SPECIAL, 10)][1:]
    assert len(windows) == len(expected)
    for window, (start, end, new) in zip(windows, expected, strict=True):
        assert window.text == 1
        assert window.ids.tolist() == [SPECIAL.cls, *text.ids[start:end], SPECIAL.sep]
        assert window.words.tolist() == [-1, *text.words[start:end], -1]
        counted = text.counted & (np.arange(length) >= new)
        assert window.counted.tolist() == [False, *counted[start:end], False]
    assert sum(window.counted.sum() for window in windows) == text.count


def test_a_limit_takes_whole_texts_that_are_always_the_same():
    texts = [Text(" ".join(runs.WORDS[at : at + 5]), str(at)) for at in range(10)]
    texts.append(Text("漢", "unknown"))
    every = choose_texts(texts, VOCABULARY, None)
    some = choose_texts(texts, VOCABULARY, 12)
    assert {text.document for text in every} == {str(at) for at in range(10)}
    assert [text.document for text in some] == [text.document for text in every[: len(some)]]
    count = [text.count for text in some]
    assert sum(count) >= 12 > sum(count[:-1])
