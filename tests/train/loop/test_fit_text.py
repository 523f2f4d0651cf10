"""What pretraining and distillation take from the training text, and what from the held-out."""

from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

from data.masking import MaskingConfig
from data.open import Data, open_data
from tests import runs, tiny
from train.loop.fit_text import text_batches
from train.loop.heldout import held_out
from train.objectives.distillation import MaskedLMObjective
from train.update.parallel import Parallel


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return runs.make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def data(home) -> Data:
    return open_data(runs.data_config(home))


@pytest.fixture(scope="module")
def counts(data) -> np.ndarray:
    """How often each token is in the training text, straight from the tokenizer."""
    encode = data.vocabulary.tokenizer.encode
    ids = [encode(text.text, add_special_tokens=False).ids for text in data.corpus.texts("train")]
    return np.bincount(np.concatenate(ids), minlength=data.vocabulary.size)


def test_masking_weights_are_those_of_the_training_text(data, counts):
    expected = np.maximum(counts, 1.0) ** -0.7
    special = data.vocabulary.special
    expected[list(special)] = 0
    objective = MaskedLMObjective(nnx.graphdef(tiny.model()), MaskingConfig(smoothing=0.7), 4)
    found = objective.constants(data.train.counts, special)["log_weights"]
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-6)


def test_the_floor_is_that_of_the_training_text_on_the_held_out(home, data, counts):
    heldout = held_out(runs.distill_config(home), data)
    assert heldout.sequences is data.heldout
    expected = counts + 1.0
    expected[list(data.vocabulary.special)] = 0
    np.testing.assert_allclose(np.exp(heldout.log_unigram), expected / expected.sum(), rtol=1e-6)


def test_batches_are_of_the_training_text_in_the_order_of_the_seed(home, data):
    config = runs.distill_config(home)
    one, other = (
        text_batches(replace(config, seed=seed), data, Parallel(config.run)) for seed in (1, 2)
    )
    assert one.sequences is data.train
    assert not np.array_equal(one.batch(0)["input_ids"], other.batch(0)["input_ids"])
