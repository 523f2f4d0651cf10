"""The choice of cuDNN for attention. No GPU is needed: the compiled program is only inspected."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from model.blocks import flash, platform
from model.blocks.flash import attend_by_flash, has_flash, without_cudnn
from model.blocks.platform import made_for

QUERY = (2, 64, 4, 64)


@pytest.fixture
def on_hopper(monkeypatch):
    """Makes JAX assume a GPU of compute capability 9.0 with cuDNN 9.10."""
    cudnn = pytest.importorskip("jax._src.cudnn.fused_attention_stablehlo")
    monkeypatch.setattr(flash, "_has_cudnn_attention", lambda: True)
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
