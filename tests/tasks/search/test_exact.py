import jax
import ml_dtypes
import numpy as np
import pytest

from model.errors import InputError
from tasks.search.exact import ExactSearch

RANDOM = np.random.default_rng(0)
# Whole numbers: their products are exact in any order, and many are equal.
DOCUMENTS = RANDOM.integers(-2, 3, (103, 4)).astype(np.float32)
ASKED = RANDOM.integers(-2, 3, (7, 4)).astype(np.float32)


def brute_force(queries, documents, k):
    scores = queries.astype(np.float64) @ documents.astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), order


def check(search, k=20, documents=DOCUMENTS):
    scores, rows = search(ASKED, k)
    expected, order = brute_force(ASKED, documents, k)
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("chunk", [8, 50, 103, 1000])
@pytest.mark.parametrize("devices", [1, 4])
def test_the_best_are_those_of_brute_force_and_equal_ones_keep_their_order(chunk, devices):
    """Of chunks with fewer documents than are asked for, too; the last one is not full."""
    check(ExactSearch(DOCUMENTS, devices=jax.devices()[:devices], chunk=chunk))


def test_all_documents_can_be_asked_for():
    check(ExactSearch(DOCUMENTS, chunk=10), k=len(DOCUMENTS))


def test_documents_that_are_not_kept_are_read_at_every_search():
    class Counted:
        shape, dtype, read = DOCUMENTS.shape, DOCUMENTS.dtype, 0

        def __getitem__(self, rows):
            Counted.read += 1
            return DOCUMENTS[rows]

    search = ExactSearch(Counted(), chunk=25, kept=DOCUMENTS.nbytes - 1)
    check(search)
    check(search)
    assert Counted.read == 10
    search = ExactSearch(Counted(), chunk=25, kept=DOCUMENTS.nbytes)
    check(search)
    check(search)
    assert Counted.read == 15


def test_queries_beyond_those_of_one_product_are_searched_too(monkeypatch):
    monkeypatch.setattr("tasks.search.exact.QUERIES_AT_ONCE", 2)
    check(ExactSearch(DOCUMENTS))


def test_one_device_and_several_give_the_same_bits():
    documents, queries = RANDOM.normal(size=(200, 64)), RANDOM.normal(size=(3, 64))
    documents, queries = documents.astype(np.float32), queries.astype(np.float32)
    one, all_devices = (
        ExactSearch(documents, devices=jax.devices()[:count], chunk=16)(queries, 200)
        for count in (1, 4)
    )
    np.testing.assert_array_equal(one.rows, all_devices.rows)
    np.testing.assert_array_equal(one.scores, all_devices.scores)
    expected, order = brute_force(queries, documents, 200)
    np.testing.assert_array_equal(one.rows, order)
    np.testing.assert_allclose(one.scores, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_short_numbers_are_multiplied_as_they_are_stored(dtype):
    """Queries are not rounded, nor are products."""
    documents, queries = RANDOM.normal(size=(40, 64)).astype(dtype), RANDOM.normal(size=(3, 64))
    found = ExactSearch(documents)(queries.astype(np.float32), 5)
    expected, order = brute_force(queries.astype(np.float32), documents, 5)
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)


def test_no_queries_have_no_hits():
    assert ExactSearch(DOCUMENTS)(ASKED[:0], 3).rows.shape == (0, 3)


def test_what_cannot_be_searched_is_refused_in_a_sentence():
    search = ExactSearch(DOCUMENTS)
    with pytest.raises(InputError, match="the 104 best documents are asked for, and there are 103"):
        search(ASKED, 104)
    with pytest.raises(InputError, match="the queries have 3 numbers each and the documents 4"):
        search(ASKED[:, :3], 1)
    with pytest.raises(InputError, match="no documents to search in"):
        ExactSearch(DOCUMENTS[:0])
