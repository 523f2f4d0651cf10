"""Pairs as windows, against the tokenizer's own ids."""

import numpy as np
import pytest

from model.errors import InputError
from tasks.embeddings.encode import encode_pairs
from tasks.embeddings.examples import PairExample
from tests.spelling import spelled, speller

VOCABULARY = speller()
PAD, _, CLS, SEP, _ = VOCABULARY.special
EXAMPLES = [
    PairExample("0", "ab", "cdefg", ("h", "ijklmnop")),
    PairExample("1", "qrstuv", "c"),
    PairExample("2", "ab", "h"),
    PairExample("3", "w", "x", key="same"),
    PairExample("4", "y", "z", key="same"),
]


def test_texts_stand_side_by_side():
    windows = encode_pairs(EXAMPLES, VOCABULARY, 7, 5)
    batch = windows.gather(np.arange(5), 7)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (5, 7, 4)
    for row, example in enumerate(EXAMPLES):
        texts = (example.query[:3], example.document[:5], *(n[:5] for n in example.negatives))
        for place in range(4):
            ids, mask = (batch[name][row, :, place] for name in ("input_ids", "attention_mask"))
            text = texts[place] if place < len(texts) else None
            length = 0 if text is None else len(text) + 2
            assert mask.tolist() == [True] * length + [False] * (7 - length)
            assert (ids[length:] == PAD).all()
            if text is not None:
                assert (ids[0], ids[length - 1]) == (CLS, SEP)
                assert spelled(VOCABULARY, ids[1 : length - 1]) == text
    assert windows.lengths.tolist() == [7, 5, 4, 3, 3]
    assert windows.sizes.tolist() == [4 + 7 + 3 + 7, 5 + 3, 4 + 3, 6, 6]
    assert [str(remark) for remark in windows.remarks] == [
        "1 of 5 are longer than 5 tokens: as queries their beginning is read",
        "1 of 7 are longer than 7 tokens: as documents their beginning is read",
    ]


def test_documents_are_numbered_and_those_right_for_a_query_are_known():
    values = encode_pairs(EXAMPLES, VOCABULARY, 7).values
    # cdefg 0, h 1, ijklmnop 2, c 3, x 4, z 5.
    assert values["documents"].tolist() == [
        [0, 1, 2],
        [3, -1, -1],
        [1, -1, -1],
        [4, -1, -1],
        [5, -1, -1],
    ]
    assert values["right"].tolist() == [[0, 1], [3, -1], [0, 1], [4, 5], [4, 5]]
    assert "score" not in values


def test_scores_are_of_all_or_of_none():
    scored = [PairExample(str(n), "a", "b", score=n / 2) for n in range(3)]
    assert encode_pairs(scored, VOCABULARY, 7).values["score"].tolist() == [0, 0.5, 1]
    with pytest.raises(InputError, match="3 of 8 examples have a score: either all have or none"):
        encode_pairs([*scored, *EXAMPLES], VOCABULARY, 7)
