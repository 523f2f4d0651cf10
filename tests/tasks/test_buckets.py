"""Buckets: the best lengths, every window once an epoch, and the place in the data is the step."""

from itertools import combinations

import numpy as np
import pytest

from model.errors import InputError
from tasks.buckets import BucketBatches, bucket_lengths
from tasks.windows import Windows


def windows(lengths) -> Windows:
    """The ids of window n are all n + 1."""
    ids = [np.full(length, number + 1, np.int32) for number, length in enumerate(lengths)]
    return Windows(ids, np.arange(len(ids)), pad_id=0, values={"label": np.arange(len(ids))})


def tokens(lengths, buckets) -> int:
    return sum(min(b for b in buckets if b >= length) for length in lengths)


@pytest.mark.parametrize("seed", range(5))
def test_the_lengths_are_those_that_need_the_least_padding(seed):
    random = np.random.default_rng(seed)
    lengths = np.minimum(random.geometric(0.06, 60), 80)
    candidates = sorted({min(length, int(lengths.max())) for length in range(8, 88, 8)})
    for most in (1, 2, 3):
        best = min(
            tokens(lengths, buckets)
            for size in range(1, most + 1)
            for buckets in combinations(candidates, size)
            if buckets[-1] >= lengths.max()
        )
        chosen = bucket_lengths(lengths, most=most)
        assert len(chosen) <= most
        assert tokens(lengths, chosen) == best


def test_fewer_lengths_than_buckets():
    assert bucket_lengths(np.array([5, 6, 16]), most=6) == (8, 16)


def test_no_bucket_is_longer_than_the_longest_window():
    assert bucket_lengths(np.array([5, 17, 19])) == (8, 19)


LENGTHS = np.random.default_rng(0).integers(3, 40, 101)


def batches(**options) -> BucketBatches:
    defaults = {"lengths": bucket_lengths(LENGTHS, most=4), "batch_size": 8, "seed": 3}
    return BucketBatches(windows(LENGTHS), **defaults | options)


def test_an_epoch_has_every_window_once():
    source = batches()
    orders = []
    for epoch in range(2):
        seen, short = [], 0
        for place in range(source.steps_per_epoch):
            batch = source.batch(epoch * source.steps_per_epoch + place)
            seen += batch["row"][batch["valid"]].tolist()
            short += not batch["valid"].all()
        assert sorted(seen) == list(range(101))
        assert short == 1  # 101 = 12 * 8 + 5
        orders.append(seen)
    assert orders[0] != orders[1]


def test_an_epoch_begins_with_the_longest_and_is_shuffled_after_it():
    source = batches()
    longest, others = max(source.lengths), []
    for epoch in range(5):
        steps = range(epoch * source.steps_per_epoch, (epoch + 1) * source.steps_per_epoch)
        read = [source.batch(step)["input_ids"].shape[-1] for step in steps]
        assert read[0] == longest
        others.append(tuple(read[1:]))
    assert len(set(others)) == 5


def test_windows_meet_others_in_another_epoch_and_with_another_seed():
    def groups(source, epoch):
        steps = range(epoch * source.steps_per_epoch, (epoch + 1) * source.steps_per_epoch)
        return {frozenset(source.batch(step)["row"].flat) for step in steps}

    first, *others = groups(batches(), 0), groups(batches(), 1), groups(batches(seed=4), 0)
    assert not any(first & other for other in others)
    assert first == groups(batches(), 0)


def test_a_batch_holds_the_windows_that_it_says():
    source = batches(micro_batches=2)
    for place in range(source.steps_per_epoch):
        batch = source.batch(place)
        assert batch["input_ids"].shape[:2] == (2, 4)
        assert batch["input_ids"].shape[2] in source.lengths
        assert np.array_equal(batch["label"], batch["row"])
        assert np.array_equal(batch["attention_mask"].sum(-1), LENGTHS[batch["row"]])
        expected = np.where(batch["attention_mask"], batch["row"][..., None] + 1, 0)
        assert np.array_equal(batch["input_ids"], expected)


def test_a_batch_is_as_long_as_the_bucket_of_its_longest_window():
    """Also the last, that is not full: here no window needs the longest bucket."""
    source = batches(lengths=(10, 20, 30, 40, 64))
    for place in range(source.steps_per_epoch):
        batch = source.batch(place)
        longest = LENGTHS[batch["row"][batch["valid"]]].max()
        assert batch["input_ids"].shape[2] == min(n for n in source.lengths if n >= longest)


def test_hosts_share_what_one_would_read():
    whole = batches(micro_batches=2)
    parts = [batches(micro_batches=2, host=host, hosts=2) for host in range(2)]
    for place in range(2 * whole.steps_per_epoch):
        expected = whole.batch(place)
        shares = [part.batch(place) for part in parts]
        for name, array in expected.items():
            assert np.array_equal(np.concatenate([s[name] for s in shares], axis=1), array), name


def test_reading_on_from_a_step():
    source = batches()
    ahead = source.iterate(5)
    for step in range(5, 20):
        batch = next(ahead)
        for name, array in source.batch(step).items():
            assert np.array_equal(batch[name], array)


def test_short_windows_are_read_with_little_padding():
    alike = batches(batch_size=4, lengths=[40])
    read = [
        sum(source.batch(step)["input_ids"].size for step in range(source.steps_per_epoch))
        for source in (batches(batch_size=4), alike)
    ]
    assert read[0] < 0.7 * read[1]


def test_tokens_are_those_of_all_hosts_without_padding_and_filler_rows():
    whole, share = batches(), batches(micro_batches=2, host=1, hosts=2)
    for step in range(2 * whole.steps_per_epoch):
        batch = whole.batch(step)
        assert share.tokens(step) == batch["attention_mask"][batch["valid"]].sum()
    assert sum(map(whole.tokens, range(whole.steps_per_epoch))) == LENGTHS.sum()


def test_an_epoch_is_a_whole_number_of_updates():
    assert batches().updates_per_epoch == 13  # 101 windows by 8


def test_a_batch_that_does_not_divide():
    with pytest.raises(InputError, match="multiple of 6"):
        batches(micro_batches=3, hosts=2)
