"""A small encoder with a decoder that has learned to write a source backwards, in seconds."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from model import CausalLM, DistilBert, EncoderConfig, Seq2Seq
from model.decoder.settings import GenerationConfig
from model.losses import cross_entropy

START, END, UNKNOWN = 1, 2, 3
LENGTH = 8
CONFIG = EncoderConfig(
    vocab_size=28,
    hidden_size=32,
    num_layers=1,
    num_heads=2,
    intermediate_size=64,
    max_positions=16,
    hidden_dropout=0.0,
    attention_dropout=0.0,
    initializer_range=0.15,
)
GENERATION = GenerationConfig(
    start=START, end=END, suppressed=(0, START, UNKNOWN), max_new_tokens=LENGTH + 3
)


def pairs(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sources of different lengths, padded with 0, and their targets, which end."""
    random = np.random.default_rng(seed)
    lengths = random.integers(3, LENGTH + 1, rows)
    there = np.arange(LENGTH) < lengths[:, None]
    source = np.where(there, random.integers(4, CONFIG.vocab_size, (rows, LENGTH)), 0)
    target = np.zeros((rows, LENGTH + 1), np.int32)
    for row, size in enumerate(lengths):
        target[row, :size] = source[row, :size][::-1]
        target[row, size] = END
    return source.astype(np.int32), target


@cache
def trained(updates: int = 150) -> Seq2Seq:
    """Trained for so short a time that it is often in doubt."""
    rngs = nnx.Rngs(0)
    encoder = DistilBert(CONFIG.distilled(1), rngs=rngs)
    model = Seq2Seq(
        encoder, CausalLM(CONFIG, crosses=True, rngs=rngs), generation=GENERATION, rngs=rngs
    )
    graphdef, params = nnx.split(model)
    optimizer = optax.adam(3e-3)
    source, target = map(jnp.asarray, pairs(512, seed=0))

    def loss(params: Any, source: Any, target: Any) -> Any:
        before = jnp.concatenate([jnp.full_like(target[:, :1], START), target[:, :-1]], axis=1)
        logits = nnx.merge(graphdef, params)(source, source > 0, decoder_input_ids=before).logits
        assert logits is not None
        return jnp.mean(cross_entropy(logits, target), where=target > 0)

    def update(carry: Any, index: Any) -> Any:
        params, state = carry
        rows = jax.random.permutation(jax.random.fold_in(jax.random.key(1), index), 512)[:64]
        gradients = jax.grad(loss)(params, source[rows], target[rows])
        with jax.numpy_dtype_promotion("standard"):  # optax counts its updates in integers
            changes, state = optimizer.update(gradients, state)
        return (optax.apply_updates(params, changes), state), None

    run = jax.jit(lambda start: jax.lax.scan(update, start, jnp.arange(updates))[0][0])
    return nnx.merge(graphdef, run((params, optimizer.init(params))))
