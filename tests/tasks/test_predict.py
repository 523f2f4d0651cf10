"""Windows that are read together against each alone."""

import jax.numpy as jnp
import numpy as np
import pytest

from tasks.kind import Kind
from tasks.predict import _fetch, batches_of_like_lengths, predictor
from tasks.questions.kind import Answers
from tasks.texts.kind import Classification
from tasks.windows import Windows
from tasks.words.kind import Tags
from tests.small import BERT, DISTILBERT, build, call

LENGTHS = (5, 17, 3, 9, 17, 9, 3)


@pytest.fixture(scope="module")
def windows() -> Windows:
    random = np.random.default_rng(0)
    ids = [random.integers(1, 50, length).astype(np.int32) for length in LENGTHS]
    types = [(np.arange(length) > length // 2).astype(np.int32) for length in LENGTHS]
    return Windows(
        ids,
        np.arange(len(ids)),
        pad_id=0,
        tokens={"token_type_ids": (types, 0)},
        values={"label": np.zeros(len(ids), np.int32)},
    )


def test_rows_are_the_fewest_that_hold_what_is_left(windows, monkeypatch):
    def rows(choice) -> list[tuple[list[int], tuple[int, ...]]]:
        found = batches_of_like_lengths(windows, (5, 9, 17), choice)
        return [(chosen.tolist(), batch["input_ids"].shape) for chosen, batch in found]

    assert rows((1, 2, 4)) == [([0, 2, 6], (4, 5)), ([3, 5], (2, 9)), ([1, 4], (2, 17))]
    assert rows((1, 2)) == [
        ([0, 2], (2, 5)), ([6], (1, 5)), ([3, 5], (2, 9)), ([1, 4], (2, 17))
    ]  # fmt: skip
    assert rows(2) == [([0, 2], (2, 5)), ([6], (2, 5)), ([3, 5], (2, 9)), ([1, 4], (2, 17))]
    monkeypatch.setattr("tasks.predict.FEW_TOKENS", 20)
    assert rows((1, 2, 4)) == [
        ([0, 2, 6], (4, 5)), ([3, 5], (2, 9)), ([1], (1, 17)), ([4], (1, 17))
    ]  # fmt: skip
    assert rows(2)[-1] == ([1, 4], (2, 17))  # what is given is not chosen


@pytest.mark.long
@pytest.mark.parametrize("kind", [Classification(), Tags(), Answers()], ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [BERT, DISTILBERT], ids=["bert", "distilbert"])
def test_batches_of_like_lengths_say_what_windows_alone_do(windows, kind: Kind, shape):
    model = build(kind.model, shape)
    fetched = predictor(kind, windows, rows=2)(model)
    compiled = _fetch._cache_size()  # type: ignore[attr-defined]
    predictor(kind, windows, rows=2)(model)
    assert _fetch._cache_size() == compiled  # type: ignore[attr-defined]
    for number, ids in enumerate(windows.input_ids):
        arrays = [jnp.asarray(ids)[None], jnp.ones((1, len(ids)), bool)]
        if shape.type_vocab_size:
            arrays.append(jnp.asarray(windows.tokens["token_type_ids"][0][number])[None])
        alone = call(model, *arrays)
        if alone.start_logits is not None:
            expected = {"start": alone.start_logits, "end": alone.end_logits}
        else:
            expected = {"logits": alone.logits}
        assert fetched.keys() == expected.keys()
        for name, values in expected.items():
            assert fetched[name][number].shape == values[0].shape
            np.testing.assert_allclose(fetched[name][number], values[0], atol=1e-5)
