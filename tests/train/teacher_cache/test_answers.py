"""Where stored answers lie, and how a batch gets its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data.batches import Batches
from data.sequences import Sequences
from model.errors import InputError
from train.teacher_cache import answers
from train.teacher_cache.answers import Shards, StoredAnswers

COLUMNS = {
    "teacher_hidden": jax.ShapeDtypeStruct((3,), jnp.dtype("bfloat16")),
    "teacher_rest": jax.ShapeDtypeStruct((), jnp.dtype("float32")),
}
LENGTHS = [5, 2, 4, 5, 3, 1, 5]
LENGTH, SETS = 5, 3


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Answers to seven sequences, two in a shard, that say where they belong."""
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    tokens = np.arange(offsets[-1], dtype=np.uint16)
    sequences = Sequences(tokens, offsets, np.ones(len(tokens), np.int64), LENGTH, "", {})
    monkeypatch.setattr(answers, "SHARD_BYTES", 2 * LENGTH * (3 * 2 + 4) + 9)
    shards = Shards(tmp_path, sequences, COLUMNS, SETS)
    for shard in shards.all():
        shard.folder.mkdir()
        ids = np.concatenate([sequences[number] for number in shard.sequences])
        hidden = np.stack([ids, ids * 0 + shard.masks, ids % 2], axis=1)
        hidden.astype(jnp.bfloat16).tofile(shard.folder / "teacher_hidden.bin")
        (ids + 100.0 * shard.masks).astype(np.float32).tofile(shard.folder / "teacher_rest.bin")
    return StoredAnswers(shards, "digest")


def test_shards_hold_every_sequence_once_under_every_set(stored):
    shards = stored.shards.all()
    assert [(s.masks, [*s.sequences]) for s in shards[:4]] == [
        (0, [0, 1]),
        (0, [2, 3]),
        (0, [4, 5]),
        (0, [6]),
    ]
    assert len({s.folder for s in shards}) == len(shards) == 4 * SETS
    size = sum(file.stat().st_size for s in shards for file in s.folder.iterdir())
    assert stored.shards.total_bytes == size == SETS * sum(LENGTHS) * 10


def test_a_batch_gets_the_answers_to_its_rows_under_the_masks_of_their_epochs(stored):
    chosen, epochs = np.array([[6, 0], [3, 1]]), np.array([[0, 1], [4, 5]])
    batch = stored.beside(chosen, epochs)
    sequences = stored.shards.sequences
    np.testing.assert_array_equal(batch["row"], [[6, 7], [7 + 3, 14 + 1]])
    assert batch["row"].dtype == np.int32
    for place in np.ndindex(2, 2):
        ids, masks = sequences[int(chosen[place])].astype(np.float32), epochs[place] % SETS
        hidden, rest = batch["teacher_hidden"][place], batch["teacher_rest"][place]
        assert (hidden.shape, hidden.dtype) == ((LENGTH, 3), jnp.bfloat16)
        np.testing.assert_array_equal(hidden[: len(ids), 0].astype(np.float32), ids)
        np.testing.assert_array_equal(hidden[: len(ids), 1].astype(np.float32), 0 * ids + masks)
        np.testing.assert_array_equal(rest[: len(ids)], ids + 100 * masks)
        assert not hidden[len(ids) :].any() and not rest[len(ids) :].any()


def test_batches_ask_for_the_epoch_of_each_row(stored):
    batches = Batches(
        stored.shards.sequences, batch_size=4, micro_batches=2, seed=0, pad_id=0,
        beside=stored.beside,
    )  # fmt: skip
    rows = np.concatenate([batches.batch(step)["row"].ravel() for step in range(7)])
    each = rows.reshape(4, 7)  # 28 rows are 4 epochs of 7 sequences
    np.testing.assert_array_equal(each // 7, np.arange(4)[:, None] % SETS * np.ones((1, 7)))
    np.testing.assert_array_equal(np.sort(each % 7, axis=1), np.tile(np.arange(7), (4, 1)))


def test_files_that_change_under_a_run_end_it_with_a_sentence(stored):
    file = stored.shards.all()[0].folder / "teacher_rest.bin"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"teacher_rest\.bin was changed while a run read it"):
        stored.beside(np.array([1]), np.array([0]))
    file.unlink()
    with pytest.raises(InputError, match=r"teacher_rest\.bin was changed while a run read it"):
        stored.beside(np.array([1]), np.array([0]))
