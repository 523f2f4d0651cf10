"""Sources with their targets beside them: tokens, cuts, and the lengths of batches."""

import numpy as np
import pytest

from data.wordpiece import train_wordpiece
from model.errors import InputError
from tasks.buckets import BucketBatches, bucket_lengths
from tasks.reading import Reading
from tasks.writing.encode import encode_sources
from tests import runs

VOCABULARY = train_wordpiece([" ".join(runs.WORDS)] * 3, runs.VOCAB)

READING = Reading()


def encode(sources, targets, *, length=16, most=8, reading=READING):
    ids = [str(number) for number in range(len(sources))]
    return encode_sources(ids, sources, targets, VOCABULARY, length, most, reading)


def ids(text: str) -> list[int]:
    return VOCABULARY.tokenizer.encode(text).ids  # with [CLS] and [SEP]


def test_tokens_of_both_sides():
    windows = encode(["a red cat", "the dog"], ["old bird", "a tree sees"])
    np.testing.assert_array_equal(windows.input_ids[0], ids("a red cat"))
    column, fill = windows.beside["target_ids"]
    assert fill == -1
    np.testing.assert_array_equal(column[1], ids("a tree sees"))


def test_a_target_that_is_too_long_is_cut_and_does_not_end():
    windows = encode(["a cat"], ["a cat sees a dog"], most=4)
    column, _ = windows.beside["target_ids"]
    np.testing.assert_array_equal(column[0], ids("a cat sees a dog")[:4])
    assert [str(remark) for remark in windows.remarks] == [
        "1 of 1 are longer than 4 tokens: of these targets the beginning is learned"
    ]


def test_without_targets_nothing_is_beside():
    assert not encode(["a cat"], None).beside


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"most": 2}, "--reading.max-target 2 leaves no room for a word: give at least 3"),
        ({"reading": Reading(long="windows")}, "--reading.long windows: a text is written from"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InputError) as error:
        encode(["a cat"], ["a dog"], **settings)
    assert str(error.value).startswith(message)


def test_a_source_without_a_token_is_refused():
    with pytest.raises(InputError, match=r"the source of 1 has no token .*, '.u200b'"):
        encode(["a cat", "\u200b"], None)


def test_batches_hold_both_sides_in_few_shapes():
    random = np.random.default_rng(0)

    def texts(longest: int) -> list[str]:
        sizes = random.integers(1, longest, 60)
        return [" ".join(random.choice(runs.WORDS, size)) for size in sizes]

    windows = encode(texts(30), texts(9), length=40, most=12)
    lengths = bucket_lengths(windows.extents, most=3)
    batches = BucketBatches(windows, lengths, batch_size=8, seed=0)
    shapes = set()
    seen = []
    for step in range(batches.steps_per_epoch):
        batch = batches.batch(step)
        shapes.add((batch["input_ids"].shape[2], batch["target_ids"].shape[2]))
        for row, ids, valid in zip(
            batch["row"][0], batch["target_ids"][0], batch["valid"][0], strict=True
        ):
            column, _ = windows.beside["target_ids"]
            np.testing.assert_array_equal(ids[ids >= 0], column[row])
            seen += [int(row)] * int(valid)
    assert sorted(seen) == list(range(60)) and 1 < len(shapes) <= 3
    targets = [len(target) for target in windows.beside["target_ids"][0]]
    assert max(length for _, length in shapes) == max(targets)
    assert sum(map(batches.tokens, range(batches.steps_per_epoch))) == sum(targets) + sum(
        windows.lengths
    )
