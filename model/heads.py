"""What is put on an encoder to predict tokens, classes, tags and spans."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.config import EncoderConfig
from model.layers import LayerNorm, dropout, gelu, linear


class MaskedLMHead(nnx.Module):
    """Dense, GELU, LayerNorm, then the word embeddings as decoder and a bias of its own."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.dense = linear(config, config.hidden_size, config.hidden_size, rngs=rngs)
        self.norm = LayerNorm(config, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(config.vocab_size))

    def __call__(
        self,
        hidden: Float[Array, "*batch hidden"],
        word_embeddings: Float[Array, "vocab hidden"],
    ) -> Float[Array, "*batch vocab"]:
        """Scores the vocabulary by attending with its embeddings, in float32."""
        features = self.norm(gelu(self.dense(hidden)))
        logits = jnp.einsum(
            "...h,vh->...v",
            features,
            word_embeddings.astype(features.dtype),
            preferred_element_type=jnp.float32,
        )
        return logits + jnp.broadcast_to(self.bias[...], logits.shape)


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
    """DistilBERT's stand-in for the pooler: ReLU, not tanh, of a dense layer over [CLS]."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.dense = linear(config, config.hidden_size, config.hidden_size, rngs=rngs)

    def __call__(self, hidden: Float[Array, "batch length hidden"]) -> Float[Array, "batch hidden"]:
        return jax.nn.relu(self.dense(hidden[:, 0]))
