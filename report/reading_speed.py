"""Sentences that encoders read in a second, and their sizes."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data.clock import seconds_since
from model.hf.card import parameter_count
from model.pretrained import save


def encoder(backbone: nnx.Module) -> tuple[Any, Any]:
    """The encoder as `encode(params, ids)`, under jit, and its parameters."""
    graphdef, params = nnx.split(backbone)
    return jax.jit(lambda params, ids: nnx.merge(graphdef, params)(ids).last_hidden), params


def reader(backbone: nnx.Module, sentences: int, length: int) -> Callable[[], object]:
    """A function that encodes so many sentences of `length` tokens."""
    encode, params = encoder(backbone)
    ids = jnp.ones((sentences, length), jnp.int32)
    return lambda: encode(params, ids)


def sentences_per_second(
    backbones: Mapping[str, nnx.Module], *, sentences: int, length: int, repeats: int
) -> dict[str, float]:
    """Sentences of `length` tokens that each encoder reads in a second, `sentences` at a time."""
    readers = {name: reader(model, sentences, length) for name, model in backbones.items()}
    seconds = time_alternately(readers, repeats=repeats)
    return {name: sentences / float(np.median(values)) for name, values in seconds.items()}


def sizes(backbone: nnx.Module) -> dict[str, int]:
    """Parameters, and bytes of the file in float32."""
    with tempfile.TemporaryDirectory() as folder:
        save(backbone, folder)
        return {
            "parameters": parameter_count(backbone),
            "bytes": Path(folder, "model.safetensors").stat().st_size,
        }


def time_alternately(
    functions: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    announce: Callable[[float], object] = lambda seconds: None,
) -> dict[str, list[float]]:
    """Seconds of every call of each function, called alternately: all meet the same disturbances.

    Each is called once before, to compile. By the time of that `announce` is told how many seconds
    the others will take at most.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    start = time.perf_counter()
    for function in functions.values():
        jax.block_until_ready(function())
    announce(seconds_since(start) * repeats)
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(seconds_since(start))
    return times
