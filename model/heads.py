"""Heads on an encoder that predict tokens, classes, tags and spans."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32

from model.blocks.layers import LayerNorm, dropout, gelu, linear
from model.blocks.products import einsum
from model.config import EncoderConfig


class Decoder(NamedTuple):
    """The factors of the vocabulary's logits: a loss computes those of some tokens at a time."""

    features: Float[Array, "*batch hidden"]
    table: Float[Array, "vocab hidden"]
    """The word embeddings."""
    bias: Float[Array, " vocab"]

    def scores(self) -> Float32[Array, "*batch vocab"]:
        """The logits of all tokens of the vocabulary: features table^T + bias, in float32."""
        scores = einsum("...h,vh->...v", self.features, self.table, jnp.float32)
        return scores + jnp.broadcast_to(self.bias, scores.shape)


class MaskedLMHead(nnx.Module):
    """Dense, GELU, LayerNorm, then the word embeddings as decoder with a separate bias."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.dense = linear(config, config.hidden_size, config.hidden_size, rngs=rngs)
        self.norm = LayerNorm(config, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(config.vocab_size))

    def __call__(
        self,
        hidden: Float[Array, "*batch hidden"],
        word_embeddings: Float[Array, "vocab hidden"],
    ) -> Decoder:
        return Decoder(self.norm(gelu(self.dense(hidden))), word_embeddings, self.bias[...])


class Classifier(nnx.Module):
    """Dropout and one dense layer, in float32: on a pooled vector, or on every token."""

    def __init__(self, config: EncoderConfig, labels: int, rate: float, *, rngs: nnx.Rngs):
        self.rate = rate
        self.dense = linear(config, config.hidden_size, labels, rngs=rngs, dtype="float32")

    def __call__(
        self, features: Float[Array, "*batch hidden"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "*batch labels"]:
        return self.dense(dropout(features.astype(jnp.float32), self.rate, rngs))


class PreClassifier(nnx.Module):
    """DistilBERT's replacement of the pooler: a dense layer over [CLS] with ReLU, not tanh."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.dense = linear(config, config.hidden_size, config.hidden_size, rngs=rngs)

    def __call__(self, hidden: Float[Array, "batch length hidden"]) -> Float[Array, "batch hidden"]:
        return jax.nn.relu(self.dense(hidden[:, 0]))
