"""Texts that share a row are read as if each were alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model import InputError, MaskedLM
from model.blocks import attention
from model.blocks.segments import same_text, text_positions
from tests.small import ARCHITECTURES, build
from tests.tiny import difference

# The second row has one text of full length.
SEGMENTS = np.array([[1] * 4 + [2] * 6 + [3] * 1 + [0] * 2, [1] * 13])
TEXTS = [(0, slice(0, 4)), (0, slice(4, 10)), (0, slice(10, 11)), (1, slice(0, 13))]
IDS = np.random.default_rng(0).integers(1, 50, SEGMENTS.shape, dtype=np.int32)
WEIGHTS = np.random.default_rng(1).normal(size=(*SEGMENTS.shape, 16)).astype(np.float32)


def test_positions_restart_and_blocks_are_texts():
    segments = jnp.asarray([[1, 1, 1, 2, 2, 0, 0], [1, 2, 3, 3, 3, 3, 3]])
    assert text_positions(segments).tolist() == [[0, 1, 2, 0, 1, 0, 1], [0, 0, 0, 1, 2, 3, 4]]
    first = np.asarray(same_text(segments)[0])
    expected = np.zeros((7, 7), bool)
    expected[:3, :3] = expected[3:5, 3:5] = expected[5:, 5:] = True
    np.testing.assert_array_equal(first, expected)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    return build(MaskedLM, ARCHITECTURES[request.param])


def read(graphdef, outputs, state, ids, segments):
    return nnx.merge(graphdef, state).backbone(ids, segments=segments, outputs=outputs)


def read_padded(graphdef, outputs, state, ids, mask):
    return nnx.merge(graphdef, state).backbone(ids, mask, outputs=outputs)


@pytest.mark.parametrize("outputs", [("hidden_states",), ("hidden_states", "attentions")])
def test_hidden_states_are_those_of_each_text_alone(model, outputs):
    graphdef, state = nnx.split(model)
    shared = jax.jit(partial(read, graphdef, outputs))(state, IDS, SEGMENTS)
    run = jax.jit(partial(read_padded, graphdef, outputs))
    for row, place in TEXTS:
        ids, mask = np.zeros_like(IDS), np.zeros(IDS.shape, bool)
        length = place.stop - place.start
        ids[0, :length], mask[0, :length] = IDS[row, place], True
        alone = run(state, ids, mask)
        for ours, theirs in zip(shared.hidden_states, alone.hidden_states, strict=True):
            np.testing.assert_allclose(ours[row, place], theirs[0, :length], rtol=0, atol=1e-6)
        for maps in shared.attentions or ():
            np.testing.assert_allclose(maps[row, :, place, place].sum(-1), 1, atol=1e-6)


@pytest.mark.long
def test_gradients_are_the_sum_of_those_of_each_text_alone(model):
    graphdef, state = nnx.split(model)

    def loss(state, ids, segments, weights):
        hidden = read(graphdef, (), state, ids, segments).last_hidden
        return jnp.sum(jnp.where(segments[..., None] > 0, hidden * weights, 0))

    gradient = jax.jit(jax.grad(loss))
    shared = gradient(state, IDS, SEGMENTS, WEIGHTS)
    ids, segments = np.zeros((4, 13), np.int32), np.zeros((4, 13), SEGMENTS.dtype)
    weights = np.zeros((4, 13, 16), np.float32)
    for number, (row, place) in enumerate(TEXTS):
        length = place.stop - place.start
        ids[number, :length], segments[number, :length] = IDS[row, place], 1
        weights[number, :length] = WEIGHTS[row, place]
    alone = gradient(state, ids, segments, weights)
    assert difference(nnx.to_pure_dict(shared), nnx.to_pure_dict(alone)) < 1e-5


def test_a_mask_beside_segments_is_refused(model):
    with pytest.raises(InputError, match="leave attention_mask out"):
        model.backbone(jnp.asarray(IDS), jnp.asarray(SEGMENTS > 0), segments=jnp.asarray(SEGMENTS))


def test_no_mask_is_made_where_none_is_needed(model, monkeypatch):
    masks, own = [], attention.attend
    monkeypatch.setattr(
        attention, "attend", lambda *inputs: masks.append(inputs[3]) or own(*inputs)
    )
    jax.eval_shape(lambda ids: model(ids).logits, IDS)
    assert masks == [None, None]
