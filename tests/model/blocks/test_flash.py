"""The choice of cuDNN for attention. No GPU is needed: the compiled program is only inspected."""

import inspect
import re
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.blocks import flash, platform
from model.blocks.attend import attend
from model.blocks.flash import attend_by_flash, has_flash, without_cudnn
from model.blocks.platform import made_for
from model.blocks.segments import blocks

QUERY = (2, 64, 4, 64)


@pytest.fixture
def on_hopper(monkeypatch):
    """Makes JAX assume a GPU of compute capability 9.0 with cuDNN 9.10."""
    cudnn = pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")
    monkeypatch.setattr(flash, "_generation", lambda: 9)
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda _: True)
    monkeypatch.setattr(cudnn, "is_cuda_compute_capability_equal", lambda _: False)
    with made_for("gpu"):
        yield


def chosen(shape=QUERY, dtype="bfloat16", places=None) -> bool:
    rows, length, *heads = shape
    keys = jnp.zeros((rows, places or length, *heads), dtype)
    return has_flash(jnp.zeros(shape, dtype), keys)


def test_a_cpu_has_no_cudnn():
    assert not chosen()


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        (QUERY, "bfloat16", True),
        (QUERY, "float16", True),
        (QUERY, "float32", False),
        ((2, 64, 4, 12), "bfloat16", False),
        ((2, 64, 4, 256), "bfloat16", False),
        ((2, 125, 4, 64), "bfloat16", False),
    ],
)
def test_cudnn_takes_what_it_can(on_hopper, shape, dtype, expected):
    assert chosen(shape, dtype) is expected
    with without_cudnn():
        assert not chosen(shape, dtype)
    assert chosen(shape, dtype) is expected


def test_cudnn_wants_an_even_number_of_keys_too(on_hopper):
    assert chosen(places=96)
    assert not chosen(places=95)


@pytest.mark.parametrize(("capability", "expected"), [("9.0", True), ("7.0", False)])
def test_only_gpus_from_ampere_on(monkeypatch, capability, expected):
    class Device:
        platform = "gpu"
        compute_capability = capability

    monkeypatch.setattr(platform.jax, "devices", lambda *_: [Device()])
    with jax.default_device(None):
        assert chosen() is expected
        Device.compute_capability = "gfx90a"
        assert not chosen()


def test_a_cpu_that_was_chosen_beside_a_gpu_has_no_cudnn(monkeypatch):
    cpu = jax.devices()[0]
    monkeypatch.setattr(
        platform.jax,
        "devices",
        lambda *_: [SimpleNamespace(platform="gpu", compute_capability="9.0")],
    )
    with jax.default_device(None):
        assert chosen()
    with jax.default_device(cpu):
        assert not chosen()


@pytest.mark.parametrize("queries", [1, QUERY[1]], ids=["padding", "blocks"])
def test_what_is_compiled_for_a_gpu_calls_cudnn_forward_and_backward(on_hopper, queries):
    def loss(query, key, value, mask):
        assert has_flash(query, key)
        return jnp.sum(attend_by_flash(query, key, value, mask).astype(jnp.float32))

    arrays = [jax.ShapeDtypeStruct(QUERY, jnp.bfloat16)] * 3
    mask = jax.ShapeDtypeStruct((QUERY[0], queries, QUERY[1]), jnp.bool)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    program = gradient.trace(*arrays, mask).lower(lowering_platforms=("cuda",)).as_text()
    assert "__cudnn$fmhaScaleBiasSoftmax" in program
    assert "__cudnn$fmhaScaleBiasSoftmaxBackward" in program


def by_name(query, key, value, mask):
    """The context of `attend`, with axes as cuDNN has them."""
    query, key, value = (jnp.swapaxes(array, 1, 2) for array in (query, key, value))
    return jnp.swapaxes(attend(query, key, value, mask[:, None]).context, 1, 2)


def like_cudnn(query, key, value, *, q_seqlen, kv_seqlen, q_offsets, kv_offsets, scale):
    """Attention by texts as JAX describes it: a query sees the places of its own text alone."""
    assert scale == query.shape[-1] ** -0.5
    assert q_seqlen.dtype == q_offsets.dtype == jnp.int32
    assert q_offsets.shape[1] == q_seqlen.shape[1] + 1
    place = jnp.arange(query.shape[1])[None, :, None]
    sees = jnp.zeros((len(query), query.shape[1], query.shape[1]), bool)
    for starts, lengths in ((q_offsets, q_seqlen), (kv_offsets, kv_seqlen)):
        text, end = starts[:, None, :-1], (starts[:, :-1] + lengths)[:, None]
        inside = (place >= text) & (place < end) & (text >= 0)
        sees = sees | (inside[:, :, None] & inside[:, None]).any(-1)
    return by_name(query, key, value, sees)


@pytest.fixture
def by_text(monkeypatch):
    """Lets a CPU compute what cuDNN would, and counts the programs of either kind."""
    made = []
    monkeypatch.setattr(flash, "_knows_texts", lambda: True)
    monkeypatch.setattr(
        flash,
        "_private_attention",
        lambda: lambda *a, **k: made.append("texts") or like_cudnn(*a, **k),
    )
    monkeypatch.setattr(
        flash, "_attend_where", lambda *a: made.append("mask") or by_name(*a) * jnp.nan
    )
    return made


def test_texts_of_a_row_are_told_by_their_places(by_text):
    segments = np.repeat([[1, 2, 3, 0], [1, 2, 0, 0]], [16] * 4, axis=1)
    segments[0, 3:18], segments[1, :] = 1, 1
    query, key, value = jax.random.normal(jax.random.key(0), (3, 2, 64, 2, 8))
    mask = blocks(jnp.asarray(segments))
    context = jax.jit(attend_by_flash)(query, key, value, mask)
    np.testing.assert_allclose(context, by_name(query, key, value, mask.pairs), atol=1e-6)
    assert set(by_text) == {"texts", "mask"}


def test_a_row_of_more_texts_than_cudnn_is_asked_for_has_a_mask(by_text):
    segments = np.repeat(np.arange(1, 17), 4)[None]
    query, key, value = jax.random.normal(jax.random.key(0), (3, 1, 64, 2, 8))
    context = jax.jit(attend_by_flash)(query, key, value, blocks(jnp.asarray(segments)))
    assert np.isnan(context).all()  # as this fixture marks a mask


def test_a_mask_of_one_text_a_row_is_a_mask(by_text):
    mask = jax.ShapeDtypeStruct((QUERY[0], 1, QUERY[1]), jnp.bool)
    query = jax.ShapeDtypeStruct(QUERY, jnp.bfloat16)
    jax.eval_shape(attend_by_flash, query, query, query, mask)
    assert by_text == ["mask"]


def test_jax_has_the_private_function_that_knows_texts():
    pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")
    names = inspect.signature(flash._private_attention()).parameters
    asked = {"q_seqlen", "kv_seqlen", "q_offsets", "kv_offsets", "scale"}
    assert list(names)[:3] == ["query", "key", "value"] and asked <= names.keys()


def test_what_is_compiled_for_a_gpu_hands_texts_to_cudnn(on_hopper, monkeypatch):
    monkeypatch.setattr(flash, "_knows_texts", lambda: True)

    def loss(query, key, value, segments):
        return jnp.sum(attend_by_flash(query, key, value, blocks(segments)).astype(jnp.float32))

    arrays = [jax.ShapeDtypeStruct(QUERY, jnp.bfloat16)] * 3
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    traced = gradient.trace(*arrays, jax.ShapeDtypeStruct(QUERY[:2], jnp.int32))
    program = traced.lower(lowering_platforms=("cuda",)).as_text()
    for name in ("fmhaSoftmax", "fmhaSoftmaxBackward"):  # without the bias that a mask would be
        call = re.search(rf"custom_call @__cudnn\${name}\(.*", program)
        assert call, name
        assert "max_seg_per_batch\\22: 8" in call[0] and "tensor<2x9xi32>" in call[0]


@pytest.mark.parametrize(("generation", "remarks"), [(9, 1), (8, 0)])
def test_where_texts_do_not_work_a_mask_tells_them_apart(monkeypatch, capfd, generation, remarks):
    monkeypatch.setattr(flash, "_generation", lambda: generation)
    flash._knows_texts.cache_clear()
    assert jax.jit(lambda x: x if flash._knows_texts() else -x)(1) == -1
    assert not flash._knows_texts()
    flash._knows_texts.cache_clear()
    assert capfd.readouterr().err.count("a mask tells them apart instead") == remarks


def test_texts_are_tried_before_they_are_trusted(monkeypatch, capfd):
    monkeypatch.setattr(flash, "_generation", lambda: 9)
    monkeypatch.setattr(flash, "_attend_where", by_name)
    for attention, expected in ((like_cudnn, True), (partial(by_name, mask=None), False)):
        monkeypatch.setattr(flash, "_private_attention", lambda chosen=attention: chosen)
        flash._knows_texts.cache_clear()
        assert jax.jit(lambda x: x if flash._knows_texts() else -x)(1) == (1 if expected else -1)
    flash._knows_texts.cache_clear()
    assert "it differs by" not in capfd.readouterr().out
