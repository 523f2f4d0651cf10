"""The pooling of an embedder against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.hf.weight_map import ENCODERS
from model.tasks import Embedder
from tests.small import ARCHITECTURES, build, call, tokens

MASK = np.arange(12) < np.array([[12], [7], [1]])


def encoder(name):
    config = ARCHITECTURES[name]
    return build(ENCODERS[config.architecture], config)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_vector_of_a_text(name, pooling, normalised):
    backbone, ids = encoder(name), tokens()
    model = Embedder(backbone, pooling, normalised)
    output = call(model, ids, MASK)
    hidden = np.asarray(call(backbone, ids, MASK).last_hidden, np.float64)
    for row, mask in enumerate(MASK):
        vector = hidden[row, 0] if pooling == "cls" else hidden[row][mask].mean(axis=0)
        expected = vector / np.linalg.norm(vector) if normalised else vector
        np.testing.assert_allclose(output.embedding[row], expected, atol=1e-6)


def test_without_a_mask_all_tokens_count():
    model, ids = Embedder(encoder("bert")), tokens()
    expected = call(model, ids, np.ones_like(ids)).embedding
    np.testing.assert_allclose(call(model, ids).embedding, expected, atol=1e-6)


def test_pooling_is_in_float32():
    config = ARCHITECTURES["distilbert"].replace(dtype="bfloat16")
    model = Embedder(build(ENCODERS["distilbert"], config))
    output = call(model, tokens(), MASK)
    assert (output.last_hidden.dtype, output.embedding.dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(np.linalg.norm(output.embedding, axis=1), 1, rtol=1e-6)


def test_of_no_tokens_the_vector_is_0_and_has_a_gradient():
    model = Embedder(encoder("bert"))
    none = jnp.zeros((2, 3), bool)

    def total(hidden):
        return jnp.sum(model.pool(hidden, none))

    value, gradient = jax.value_and_grad(total)(jnp.ones((2, 3, 16)))
    assert value == 0 and np.isfinite(gradient).all()
    # All hidden states 0, as those of a damaged model may be: no division by 0 either.
    gradient = jax.grad(lambda hidden: jnp.sum(model.pool(hidden, ~none)))(jnp.zeros((2, 3, 16)))
    assert np.isfinite(gradient).all()
