"""Documents in windows: a [CLS] for each sentence, each predicted once."""

import numpy as np
import pytest

from data.wordpiece import train_wordpiece
from model.errors import InputError
from tasks.extractive.encode import encode_documents
from tasks.extractive.examples import DocumentExample
from tests import runs


@pytest.fixture(scope="module")
def vocabulary():
    return train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)


def test_a_short_document_is_one_window(vocabulary):
    example = DocumentExample("0", ("the old cat", "a dog", "a bird sees"), ("a dog",))
    windows = encode_documents([example], vocabulary, 32, 1)
    [ids], [marks] = windows.input_ids, windows.tokens["in_summary"][0]
    assert vocabulary.tokenizer.decode(ids.tolist(), skip_special_tokens=False) == (
        "[CLS] the old cat [SEP] [CLS] a dog [SEP] [CLS] a bird sees [SEP]"
    )
    starts = [0, 5, 9]
    np.testing.assert_array_equal(np.flatnonzero(ids == vocabulary.special.cls), starts)
    np.testing.assert_array_equal(marks[starts], [0, 1, 0])
    np.testing.assert_array_equal(windows.notes["sentence"][0][starts], [0, 1, 2])
    assert (np.delete(marks, starts) == -1).all()
    sizes = windows.tokens["sentence_tokens"][0][0]
    np.testing.assert_array_equal(sizes[starts], [5, 4, 5])
    assert sizes.sum() == len(ids)
    types = windows.tokens["token_type_ids"][0][0]
    np.testing.assert_array_equal(types, np.repeat([0, 1, 0], [5, 4, 5]))
    assert windows.remarks == ()


@pytest.mark.parametrize("length", [8, 13, 24])
def test_every_sentence_of_a_long_document_is_predicted_once(vocabulary, length):
    rng = np.random.default_rng(length)
    sentences = [" ".join(rng.choice(runs.WORDS, size=rng.integers(1, 7))) for _ in range(30)]
    chosen = tuple(sorted(rng.choice(30, size=7, replace=False).tolist()))
    documents = [
        DocumentExample("0", tuple(sentences), ("a cat",), chosen),
        DocumentExample("1", ("a dog",), ("a cat",)),
    ]
    windows = encode_documents(documents, vocabulary, length, 1)
    assert windows.lengths.max() <= length and windows.example.tolist() == [0] * (
        len(windows) - 1
    ) + [1]
    found = {}
    columns = windows.input_ids, windows.tokens["in_summary"][0], windows.notes["sentence"]
    for ids, marks, places in zip(*(column[:-1] for column in columns), strict=True):
        assert (ids[places >= 0] == vocabulary.special.cls).all()
        np.testing.assert_array_equal(marks >= 0, places >= 0)
        for place in np.flatnonzero(places >= 0):
            sentence = int(places[place])
            assert sentence not in found
            found[sentence] = int(marks[place])
            words = vocabulary.tokenizer.encode(sentences[sentence]).ids[: length - 1]
            assert ids[place : place + len(words)].tolist()[:-1] == words[:-1]
    assert found == {place: int(place in chosen) for place in range(30)}
    assert "1 of 2 are longer than" in str(windows.remarks[0])


def test_a_sentence_is_predicted_between_others(vocabulary):
    document = DocumentExample("0", tuple(["a cat"] * 9), ("a cat",))
    windows = encode_documents([document], vocabulary, 16, 1)  # four sentences a window
    predicted = [places[places >= 0].tolist() for places in windows.notes["sentence"]]
    assert [len(ids) for ids in windows.input_ids] == [16, 16, 16, 12]
    assert predicted == [[0, 1, 2], [3, 4], [5, 6], [7, 8]]


def test_a_sentence_that_is_longer_than_a_window_is_cut(vocabulary):
    documents = [DocumentExample("0", ("a cat " * 20, "a dog"), ("a cat",))]
    windows = encode_documents(documents, vocabulary, 10, 1)
    assert windows.lengths.tolist() == [10, 4]
    assert [str(remark) for remark in windows.remarks] == [
        "1 of 1 are longer than 10 tokens: read in several windows",
        "1 of 1 have a sentence of more than 10 tokens: its beginning is read",
    ]


def test_what_cannot_be_read_is_refused(vocabulary):
    known, unknown = DocumentExample("0", ("a",), ("a",)), DocumentExample("1", ("a",))
    assert "in_summary" not in encode_documents([unknown], vocabulary, 8, 1).tokens
    with pytest.raises(InputError, match="a summary"):
        encode_documents([known, unknown], vocabulary, 8, 1)
    with pytest.raises(InputError, match="windows of 2 tokens leave no room for words"):
        encode_documents([known], vocabulary, 2, 1)
