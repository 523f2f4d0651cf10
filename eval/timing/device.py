"""The device that is measured: its kind, and the most operations a second that it can do."""

import importlib.util
import os
import re
import time
from typing import Any, Literal

import jax
import jax.numpy as jnp

from data.clock import seconds_since
from model.blocks.products import matmul
from model.config import DType
from model.errors import InputError
from train.command.malloc import keep_freed_memory
from train.planning.tpus import CHIPS

Device = Literal["cpu", "gpu", "tpu"]

# The beginning of JAX's `device_kind` -> the chip.
_TPUS = {
    "TPU v3": "v3",
    "TPU v4": "v4",
    "TPU v5": "v5p",
    "TPU v5p": "v5p",
    "TPU v5 lite": "v5e",
    "TPU v5e": "v5e",
    "TPU v6": "v6e",
}
# The same, in whole words -> FLOP/s of dense bfloat16 products, from the makers' data sheets; of
# two that fit, the longer counts.
PEAKS = {kind: CHIPS[chip].peak / CHIPS[chip].devices for kind, chip in _TPUS.items()} | {
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
}


def use(device: Device | None) -> Any:
    """Chooses a JAX device before anything is computed, by default the one that it would take.

    Raises:
        InputError: there is no such device.
    """
    # Memory is taken when it is needed, nearly all of it if need be: its peak can then be read.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.95")
    try:
        # Not jax_platforms: "gpu" may be CUDA or ROCm.
        chosen = jax.devices(device)[0]
    except RuntimeError:
        extra = {"gpu": "cuda", "tpu": "tpu"}.get(device or "", "")
        hint = f" (pip install -e '.[{extra}]' brings what JAX needs for one)" if extra else ""
        raise InputError(
            f"--device {device}: JAX finds none on this machine, only {jax.default_backend()}{hint}"
        ) from None
    jax.config.update("jax_default_device", chosen)
    return chosen


def prepare_process(device: Device) -> Any:
    """Makes this process ready for what is measured on a device, which it returns."""
    keep_freed_memory()  # as every command does
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is measured too
    return use(device)


def about_device(device: Device | None, dtype: DType | None) -> dict[str, Any]:
    """The device's platform and kind, and its FLOP/s in a type, published and measured.

    The type is bfloat16 where none is given, and float32 on a CPU.

    Raises:
        InputError: there is no such device.
    """
    chosen = use(device)
    cpu = chosen.platform == "cpu"
    dtype = dtype or ("float32" if cpu else "bfloat16")
    return {
        "platform": chosen.platform,
        "kind": chosen.device_kind,
        "dtype": dtype,
        "published_peak": published_peak(chosen.device_kind) if dtype == "bfloat16" else None,
        "measured_peak": measured_peak(dtype, 1536 if cpu else 8192),
    }


def utilisation_peak(about: dict[str, Any]) -> float:
    """The peak that utilisation is a share of: the published or, without one, the measured one."""
    return about["published_peak"] or about["measured_peak"]


def device_sentence(about: dict[str, Any]) -> str:
    """The device and its peaks as a sentence, from `about_device`."""
    measured = f"{about['measured_peak'] / 1e12:,.3g} TFLOP/s in a {about['dtype']} matrix product"
    published, share = about["published_peak"], "MFU is a share of that"
    if published:
        share = f"published: {published / 1e12:,.3g} TFLOP/s, which MFU is a share of"
    return f"{about['kind']} ({about['platform']}): {measured}, measured; {share}."


def published_peak(kind: str) -> float | None:
    """FLOP/s of bfloat16 products by the data sheet, or None for a device that is not listed."""
    names = [name for name in PEAKS if re.match(rf"{re.escape(name)}(?!\w)", kind)]
    return PEAKS[max(names, key=len)] if names else None


def measured_peak(dtype: DType, size: int) -> float:
    """FLOP/s of a product of two square matrices, the best of five runs of four products."""
    a = jnp.ones((size, size), dtype)

    @jax.jit
    def products(a):
        b = a
        for _ in range(4):
            b = matmul(a, b) * jnp.asarray(1 / size, b.dtype)
        return b

    products(a).block_until_ready()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        products(a).block_until_ready()
        seconds.append(seconds_since(start))
    return 4 * 2 * size**3 / min(seconds)


def check_torch(what: str) -> None:
    """Raises InputError where `what` is asked for, such as a flag, and torch is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        raise InputError(
            f"{what} needs torch and transformers, which are not installed: "
            "pip install -e '.[oracle]'"
        )
