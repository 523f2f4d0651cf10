"""A deep model from a shallow one."""

import jax
import numpy as np
import pytest
from flax import nnx

from model.errors import InputError
from model.growing import grow
from tests import tiny


def leaves(module):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(module, nnx.Param))]


def shuffled(seed):
    """A model whose LayerNorms differ from those it started with."""
    model = tiny.model(tiny.TEACHER)
    rng = np.random.default_rng(seed)
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        if path[-1] in ("scale", "bias"):
            leaf[...] = leaf[...] + 0.1 * rng.normal(size=leaf.shape).astype(np.float32)
    return model


@pytest.mark.long
def test_a_grown_model_predicts_nearly_the_same_as_the_shallow_one():
    shallow, deep = shuffled(0), tiny.model(tiny.TEACHER.replace(num_layers=7), seed=1)
    ids = jax.numpy.asarray(tiny.batch()["input_ids"][0])
    before = jax.nn.softmax(tiny.logits(shallow, ids))
    grow(shallow, deep)
    after = jax.nn.softmax(tiny.logits(deep, ids))
    # A LayerNorm cannot undo another's scale if that scale and the token are correlated.
    assert np.abs(after - before).sum(axis=-1).mean() < 0.05
    other = jax.nn.softmax(tiny.logits(tiny.model(tiny.TEACHER, seed=1), ids))
    assert np.abs(other - before).sum(axis=-1).mean() > 0.5


def test_with_plain_layer_norms_it_is_the_same_function():
    shallow, deep = tiny.model(tiny.TEACHER), tiny.model(tiny.TEACHER.replace(num_layers=7), seed=1)
    grow(shallow, deep)
    ids = jax.numpy.asarray(tiny.batch()["input_ids"][0])
    np.testing.assert_allclose(tiny.logits(deep, ids), tiny.logits(shallow, ids), atol=1e-5)


@pytest.mark.long
def test_silent_layers_learn():
    shallow, deep = tiny.model(tiny.TEACHER), tiny.model(tiny.TEACHER.replace(num_layers=4), seed=1)
    grow(shallow, deep)
    graphdef, params = nnx.split(deep, nnx.Param)
    ids = jax.numpy.asarray(tiny.batch()["input_ids"][0])

    def loss(params):
        return tiny.logits(nnx.merge(graphdef, params), ids)[..., 7].mean()

    gradients = jax.grad(loss)(params)
    for layer in gradients["backbone"]["encoder"]["layers"].values():
        assert np.abs(layer["attention"]["out"]["kernel"][...]).max() > 0
        assert np.abs(layer["feed_forward"]["down"]["kernel"][...]).max() > 0


def test_with_the_same_depth_it_is_a_copy_that_shares_no_memory():
    shallow, deep = shuffled(0), tiny.model(tiny.TEACHER, seed=1)
    grow(shallow, deep)
    copied = leaves(deep)
    assert all(map(np.array_equal, copied, leaves(shallow)))
    shallow.head.bias[...] += 1.0
    assert all(map(np.array_equal, copied, leaves(deep)))


@pytest.mark.parametrize("change", [{"hidden_size": 32}, {"num_layers": 1}], ids=str)
def test_a_model_of_another_shape_is_refused(change):
    deep = tiny.model(tiny.TEACHER.replace(**change))
    with pytest.raises(InputError, match="only the number of layers may differ"):
        grow(tiny.model(tiny.TEACHER), deep)
