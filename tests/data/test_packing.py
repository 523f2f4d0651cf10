"""Texts put into rows: each once and whole, in few rows, the same on every machine."""

import numpy as np
import pytest

from data import packing
from data.cutting import Cut
from data.packing import first_fit, pack


def plain_first_fit(lengths, room):
    """Row by row, from the first."""
    left, rows = [], []
    for length in lengths:
        row = next((number for number, free in enumerate(left) if free >= length), len(left))
        if row == len(left):
            left.append(room)
        left[row] -= length
        rows.append(row)
    return rows


@pytest.mark.parametrize("number", [1, 2, 3, 64, 300])
def test_a_text_goes_into_the_first_row_with_room(number):
    lengths = np.random.default_rng(number).integers(12, 101, number)
    assert first_fit(lengths, 100).tolist() == plain_first_fit(lengths, 100)


def texts_of(number: int, longest: int = 40) -> list[np.ndarray]:
    """Texts in which every token is the text's number."""
    lengths = np.random.default_rng(0).integers(12, longest + 1, number)
    return [np.full(length, index, np.uint32) for index, length in enumerate(lengths)]


def cut_of(texts: list[np.ndarray]) -> Cut:
    return Cut(np.concatenate(texts), np.asarray([len(text) for text in texts]))


def packed(texts: list[np.ndarray], length: int = 64) -> list[list[list[int]]]:
    """Rows of texts, as they are packed in cuts of seven."""
    rows = []
    for cut in pack((cut_of(texts[i : i + 7]) for i in range(0, len(texts), 7)), length):
        assert cut.texts is not None
        pieces = np.split(cut.tokens, np.cumsum(cut.texts)[:-1])
        ends = np.cumsum(cut.lengths)
        assert np.isin(ends, np.cumsum(cut.texts)).all()
        of_row = np.searchsorted(ends, np.cumsum(cut.texts) - 1, side="right")
        rows += [
            [piece.tolist() for piece, row in zip(pieces, of_row, strict=True) if row == number]
            for number in range(len(cut.lengths))
        ]
    return rows


@pytest.mark.parametrize("window", [10**9, 500])
def test_every_text_is_in_one_row_and_whole(monkeypatch, window):
    monkeypatch.setattr(packing, "WINDOW", window)
    texts = texts_of(100)
    rows = packed(texts)
    assert max(sum(map(len, row)) for row in rows) <= 64
    assert sorted(text for row in rows for text in row) == [text.tolist() for text in texts]
    assert rows == packed(texts)
    # Neighbours do not stay together, but a window's texts do.
    order = [text[0] for row in rows for text in row]
    assert order != sorted(order)
    assert max(abs(place - text) for place, text in enumerate(order)) > (50 if window > 500 else 5)


def test_full_texts_have_rows_of_their_own_and_nothing_makes_nothing():
    assert packed([np.full(64, 7, np.uint32)] * 3) == [[[7] * 64]] * 3
    assert list(pack([Cut(np.empty(0, np.uint32), np.empty(0, np.int64))], 64)) == []


def test_rows_are_nearly_full():
    lengths = np.clip(np.random.default_rng(0).lognormal(4.5, 0.7, 20_000), 12, 512).astype(int)
    rows = first_fit(lengths, 512)
    assert lengths.sum() / (512 * (rows.max() + 1)) > 0.97
