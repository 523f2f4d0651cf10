"""Small models for the tests, built and called as compiled programs: op by op is far slower."""

from typing import Any

import jax
from flax import nnx

from model import EncoderConfig

BERT = EncoderConfig(
    vocab_size=50,
    hidden_size=16,
    num_layers=3,
    num_heads=2,
    intermediate_size=24,
    max_positions=20,
    initializer_range=0.3,
)
DISTILBERT = BERT.distilled(2)
ARCHITECTURES = {"bert": BERT, "distilbert": DISTILBERT}


def build(task: type[Any], config: EncoderConfig, *, seed: int = 0) -> Any:
    def make() -> Any:
        return task(config, rngs=nnx.Rngs(seed))

    return nnx.merge(nnx.graphdef(nnx.eval_shape(make)), jax.jit(lambda: nnx.state(make()))())


def call(module: Any, *arrays: Any, dropout: int | None = None, **options: Any) -> Any:
    """`module(*arrays, **options)`, with dropout from that seed."""
    graphdef, state = nnx.split(module)

    @jax.jit
    def run(state: nnx.State, *arrays: Any) -> Any:
        rngs = None if dropout is None else nnx.Rngs(dropout=dropout)
        return nnx.merge(graphdef, state)(*arrays, rngs=rngs, **options)

    return run(state, *arrays)


def tokens(rows: int = 3, length: int = 12, *, seed: int = 0) -> jax.Array:
    return jax.random.randint(jax.random.key(seed), (rows, length), 1, BERT.vocab_size)


def parameters(model: nnx.Module) -> dict[str, jax.Array]:
    state = nnx.to_flat_state(nnx.state(model))
    return {".".join(map(str, place)): param[...] for place, param in state}
