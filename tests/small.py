"""Small models for the tests, made and called so that little has to be compiled."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from flax import nnx

from model import EncoderConfig

BERT = EncoderConfig(
    vocab_size=50,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=24,
    max_positions=20,
    initializer_range=0.3,
)
DISTILBERT = BERT.distilled(2)
ARCHITECTURES = {"bert": BERT, "distilbert": DISTILBERT}


def build(task: Callable[..., Any], config: EncoderConfig, *, seed: int = 0) -> Any:
    """A model with random numbers everywhere, also where a new one has zeros and ones."""
    graphdef, shapes = _skeleton(task, config)
    random = np.random.default_rng(seed)
    values = {}
    for place, shape in shapes:
        scale = config.initializer_range if place[-1] in ("kernel", "embedding") else 0.1
        value = random.normal(1.0 if place[-1] == "scale" else 0.0, scale, shape)
        values[place] = nnx.Param(jax.numpy.asarray(value, "float32"))
    return nnx.merge(graphdef, nnx.from_flat_state(values))


@cache
def _skeleton(task: Callable[..., Any], config: EncoderConfig) -> tuple[nnx.GraphDef, Any]:
    graphdef, state = nnx.split(nnx.eval_shape(lambda: task(config, rngs=nnx.Rngs(0))))
    return graphdef, [(place, param.shape) for place, param in nnx.to_flat_state(state)]


def call(module: Any, *arrays: Any, dropout: int | None = None, **options: Any) -> Any:
    """`module(*arrays, **options)` as one program, with dropout from that seed."""
    graphdef, state = nnx.split(module)
    # XLA's own generator: threefry takes seconds to compile.
    key = None if dropout is None else jax.random.key(dropout, impl="rbg")
    return _call(graphdef, tuple(options.items()), state, arrays, key)


@partial(jax.jit, static_argnums=(0, 1))
def _call(
    graphdef: nnx.GraphDef,
    options: tuple[tuple[str, Any], ...],
    state: nnx.State,
    arrays: tuple[Any, ...],
    key: jax.Array | None,
) -> Any:
    rngs = None if key is None else nnx.Rngs(dropout=key)
    return nnx.merge(graphdef, state)(*arrays, rngs=rngs, **dict(options))


def tokens(rows: int = 3, length: int = 12, *, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(1, BERT.vocab_size, (rows, length), dtype=np.int32)


def parameters(model: nnx.Module) -> dict[str, np.ndarray]:
    state: Mapping[Any, Any] = dict(nnx.to_flat_state(nnx.state(model)))
    return {".".join(map(str, place)): np.asarray(param[...]) for place, param in state.items()}
