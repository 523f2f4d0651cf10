"""Vectors on disk."""

import numpy as np
import pytest

from model.errors import InputError
from tasks.search.exact import ExactSearch
from tasks.search.vectors import StoredVectors, write_vectors
from tests.disk import full_disk

VECTORS = np.random.default_rng(0).normal(size=(37, 12)).astype(np.float32)


def batches(vectors):
    places = np.random.default_rng(1).permutation(len(vectors))
    return [(chosen, vectors[chosen]) for chosen in np.array_split(places, 5)]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_written_in_any_order_are_read_in_theirs(dtype, tmp_path):
    file = tmp_path / "v.npy"
    write_vectors(file, VECTORS.shape, dtype, batches(VECTORS), "--cache")
    kept = VECTORS.astype(dtype)
    np.testing.assert_array_equal(np.load(file), kept)
    stored = StoredVectors(file)
    assert (stored.shape, stored.dtype) == (kept.shape, kept.dtype)
    for rows in (slice(0, 5), slice(11, 37), slice(30, 99), slice(None)):
        np.testing.assert_array_equal(stored[rows], kept[rows])
    found = ExactSearch(stored, chunk=10, kept=0)(VECTORS[:4], 3)
    expected = ExactSearch(kept)(VECTORS[:4], 3)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)


def test_a_number_too_large_for_float16_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds 7e\+04, which float16 cannot: give --vectors"):
        write_vectors(
            tmp_path / "v.npy",
            (1, 2),
            "float16",
            [(np.array([0]), np.array([[1.0, -7e4]], np.float32))],
            "--cache",
        )


def test_a_full_disk_ends_with_one_sentence(tmp_path):
    with full_disk(1000), pytest.raises(InputError, match="File too large: make room there"):
        write_vectors(tmp_path / "v.npy", VECTORS.shape, "float32", batches(VECTORS), "--cache")
