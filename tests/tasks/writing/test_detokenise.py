"""Texts of tokens, as people write them."""

import numpy as np
import pytest

from data.wordpiece import train_wordpiece
from tasks.writing.detokenise import detokenise

TEXTS = [
    "a well-known t-shirt, and a man's hat.",
    "it costs $5 (or 4.50), at 12:30, or 1,250!",
    "she doesn't know; he's there?",
]
VOCABULARY = train_wordpiece(TEXTS * 3, 400)


@pytest.mark.parametrize("text", TEXTS)
def test_there_and_back(text):
    ids = VOCABULARY.tokenizer.encode(text).ids[1:]
    assert detokenise(VOCABULARY, [np.array(ids)]) == [text]


def test_nothing_behind_the_end_is_read():
    special = VOCABULARY.special
    ids = [*VOCABULARY.tokenizer.encode("she knows", add_special_tokens=False).ids, special.sep]
    behind = [*ids, *ids, special.pad]
    assert detokenise(VOCABULARY, [np.array(behind), np.array([special.sep])]) == ["she knows", ""]
