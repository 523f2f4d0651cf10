import math
from dataclasses import replace

import numpy as np
import pytest

from data.batches import Batches, heldout_batches
from data.sequences import Sequences
from model.errors import InputError

LENGTH = 6
PAD = 99


def sequences_of(number: int, shortest: int = LENGTH) -> Sequences:
    """Sequences in which each token is the index; lengths cycle from `shortest` to `LENGTH`."""
    lengths = shortest + np.arange(number) % (LENGTH - shortest + 1)
    return Sequences(
        tokens=np.repeat(np.arange(number, dtype=np.uint16), lengths),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        counts=np.zeros(number, np.int64),
        sequence_length=LENGTH,
        fingerprint="",
        stats={},
    )


def batches_of(
    number: int, batch_size: int, shortest: int = LENGTH, several: bool = False, **settings
) -> Batches:
    """Batches of one text a sequence, or of `several`: a second one begins at the third token."""
    sequences = sequences_of(number, shortest)
    if several:
        starts = sequences.offsets[:-1]
        sequences = replace(sequences, texts=np.sort(np.concatenate([starts, starts + 2])))
    return Batches(sequences, batch_size=batch_size, **{"seed": 0, "pad_id": PAD, **settings})


def order(batches: Batches, steps: int) -> list[int]:
    """The sequences in the batches of the first steps, in order."""
    return [int(i) for s in range(steps) for i in batches.batch(s)["input_ids"][..., 0].flat]


def assert_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], strict=True)


def test_a_batch_has_the_documented_arrays_and_types():
    batch = batches_of(20, 8, micro_batches=2).batch(3)
    assert {name: (array.dtype, array.shape) for name, array in batch.items()} == {
        "input_ids": (np.int32, (2, 4, LENGTH)),
        "row": (np.int32, (2, 4)),
    }
    assert batch["row"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    mask = batches_of(20, 8, shortest=3).batch(3)["attention_mask"]
    assert (mask.dtype, mask.shape) == (bool, (1, 8, LENGTH))


def test_texts_of_a_sequence_are_numbered():
    sequences = replace(
        sequences_of(3),
        tokens=np.arange(14, dtype=np.uint16),
        offsets=np.array([0, 5, 8, 14]),
        texts=np.array([0, 2, 4, 5, 8, 9]),
    )
    batch = sequences.gather(np.array([[2, 0], [1, 1]]), PAD)
    assert batch["segments"].dtype == np.int32
    assert batch["segments"].tolist() == [
        [[1, 2, 2, 2, 2, 2], [1, 1, 2, 2, 3, 0]],
        [[1, 1, 1, 0, 0, 0]] * 2,
    ]
    assert batch["input_ids"][0].tolist() == [[8, 9, 10, 11, 12, 13], [0, 1, 2, 3, 4, PAD]]


def test_short_sequences_are_padded():
    batch = batches_of(20, 4, shortest=3).batch(0)
    for ids, attended in zip(batch["input_ids"][0], batch["attention_mask"][0], strict=True):
        length = 3 + ids[0] % 4
        assert ids.tolist() == [ids[0]] * length + [PAD] * (LENGTH - length)
        assert attended.tolist() == [True] * length + [False] * (LENGTH - length)


@pytest.mark.parametrize(("number", "batch_size"), [(24, 8), (23, 8), (7, 8), (5, 16), (1, 4)])
def test_every_sequence_once_an_epoch_and_none_lost_between(number, batch_size):
    read = order(batches_of(number, batch_size), 12)
    epochs = [read[i : i + number] for i in range(0, len(read) - number + 1, number)]
    assert len(epochs) == 12 * batch_size // number
    assert all(sorted(epoch) == list(range(number)) for epoch in epochs)


def test_the_updates_of_an_epoch_reach_every_sequence():
    for number, steps in ((24, 3), (23, 3), (25, 4), (7, 1)):
        batches = batches_of(number, 8)
        assert batches.updates_per_epoch * 8 == number
        assert math.ceil(batches.updates_per_epoch) == steps
        assert set(order(batches, steps)) == set(range(number))


def test_tokens_are_those_of_all_hosts_without_padding():
    alone = batches_of(23, 8, shortest=3)
    share = batches_of(23, 8, shortest=3, micro_batches=2, host=1, hosts=2)
    for step in range(6):
        assert share.tokens(step) == alone.batch(step)["attention_mask"].sum()


def test_epochs_and_seeds_differ_and_repeat_themselves():
    read = [order(batches_of(64, 64, seed=seed), 3) for seed in (0, 1, 0)]
    assert read[0] == read[2]
    # Seed 1 must not be seed 0 an epoch later.
    epochs = [tuple(run[i : i + 64]) for run in read[:2] for i in (0, 64, 128)]
    assert len(set(epochs)) == 6
    assert tuple(range(64)) not in epochs


def test_the_order_is_uniform():
    # Each of the 6 orders of 3 sequences in 6,000 epochs: 1,000 times each, with a standard
    # deviation of 29.
    read = np.asarray(order(batches_of(3, 60), 300)).reshape(6000, 3)
    _, times = np.unique(read, axis=0, return_counts=True)
    assert len(times) == 6
    assert np.abs(times - 1000).max() < 5 * 29


@pytest.mark.parametrize("start", [0, 1, 5, 1000])
def test_iterating_is_asking_for_each_step(start):
    batches = batches_of(23, 8, micro_batches=2)
    for step, batch in zip(range(start, start + 9), batches.iterate(start), strict=False):
        assert_equal(batch, batches.batch(step))


@pytest.mark.parametrize("hosts", [2, 4])
@pytest.mark.parametrize("micro_batches", [1, 2])
@pytest.mark.parametrize("several", [False, True])
def test_hosts_together_read_what_one_reads(hosts, micro_batches, several):
    settings = {"number": 23, "batch_size": 16, "shortest": 3, "micro_batches": micro_batches}
    settings["several"] = several
    alone = batches_of(**settings)
    shares = [batches_of(**settings, host=host, hosts=hosts) for host in range(hosts)]
    for step in (0, 1, 2, 17):
        parts = [share.batch(step) for share in shares]
        together = {name: np.concatenate([p[name] for p in parts], axis=1) for name in parts[0]}
        assert_equal(together, alone.batch(step))


def test_micro_batches_only_fold_the_batch():
    whole, parts = batches_of(23, 16).batch(5), batches_of(23, 16, micro_batches=4).batch(5)
    assert_equal({name: array.reshape(whole[name].shape) for name, array in parts.items()}, whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 10, "micro_batches": 4}, "10 sequences .* 4 micro-batches"),
        ({"batch_size": 0}, "0 sequences"),
        ({"batch_size": 8, "micro_batches": 0}, "0 micro-batches"),
        ({"batch_size": 12, "micro_batches": 2, "hosts": 4}, "micro-batch of 6 .* 4 hosts"),
    ],
)
def test_a_batch_that_does_not_divide(settings, message):
    with pytest.raises(InputError, match=message):
        batches_of(20, **settings)


@pytest.mark.parametrize(("number", "rows"), [(12, 4), (10, 4), (3, 8)])
@pytest.mark.parametrize("limit", [None, 5])
def test_heldout_batches_hold_every_sequence_once(number, rows, limit):
    expected = list(range(number))
    if limit is not None and limit < number:
        expected = {12: [0, 3, 6, 8, 11], 10: [0, 2, 4, 7, 9]}[number]
    rows_read = []
    batches = heldout_batches(sequences_of(number, 3), rows=rows, pad_id=PAD, limit=limit)
    for batch in batches:
        assert batch["input_ids"].shape == batch["attention_mask"].shape == (rows, LENGTH)
        assert batch["input_ids"].dtype == batch["row"].dtype == np.int32
        assert batch["row"].shape == (rows,)
        assert (batch["input_ids"][~batch["attention_mask"]] == PAD).all()
        real = batch["attention_mask"].any(-1)
        assert batch["input_ids"][real, 0].tolist() == batch["row"][real].tolist()
        rows_read += batch["row"][real].tolist()
    assert rows_read == expected
