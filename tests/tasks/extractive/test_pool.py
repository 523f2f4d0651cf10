"""Means over the tokens of sentences, against slices."""

import jax.numpy as jnp
import numpy as np

from tasks.extractive.pool import mean_of_sentences


def test_a_mean_stands_at_the_first_token_of_its_sentence():
    values = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    sizes = np.array([[4, 0, 0, 0, 5, 0, 0, 0, 0], [2, 0, 1, 0, 0, 0, 0, 0, 0]], np.int32)
    found = mean_of_sentences(jnp.asarray(values), jnp.asarray(sizes))
    expected = np.zeros_like(values)
    for row, start in np.argwhere(sizes):
        end = start + sizes[row, start]
        expected[row, start] = values[row, start:end].mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
