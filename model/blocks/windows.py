"""A small encoder over the windows of a document, each of which is one vector."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32

from model.blocks.encoder import Encoder
from model.blocks.layers import LayerNorm, dropout
from model.config import EncoderConfig
from model.errors import InputError


class WindowEncoder(nnx.Module):
    """Transformer layers over the vectors of windows, with positions of their own, and their mean.

    A transformer over BERT, "ToBERT" (Pappagari et al. 2019, section 3.3).

    Args:
        config: of the encoder that makes the vectors; the layers have its width and its heads.
        windows: of a document, at most.
        layers: of this encoder.
        rngs: draws the weights.
    """

    def __init__(self, config: EncoderConfig, windows: int, layers: int, *, rngs: nnx.Rngs):
        self.config = config
        normal = nnx.initializers.normal(config.initializer_range)
        self.position = nnx.Embed(windows, config.hidden_size, embedding_init=normal, rngs=rngs)
        self.norm = LayerNorm(config, rngs=rngs)
        self.encoder = Encoder(config.replace(num_layers=layers), rngs=rngs)

    def __call__(
        self,
        vectors: Float[Array, "batch windows hidden"],
        there: Bool[Array, "batch windows"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float32[Array, "batch hidden"]:
        """The vectors of documents; `there` is false for windows that a document has not.

        Raises:
            InputError: there are more windows than positions.
        """
        count, most = vectors.shape[1], self.position.num_embeddings
        if count > most:
            raise InputError(
                f"a document of {count} windows is longer than the {most} that the model has "
                f"learned: give --reading.most-windows {most}"
            )
        placed = vectors.astype(jnp.float32) + self.position.embedding[...][None, :count]
        hidden = self.norm(placed).astype(self.config.dtype)
        hidden = dropout(hidden, self.config.hidden_dropout, rngs)
        hidden, _ = self.encoder(hidden, there[:, None], rngs=rngs)
        return mean_where(hidden, there)


def mean_where(
    hidden: Float[Array, "batch length hidden"], mask: Bool[Array, "batch length"]
) -> Float32[Array, "batch hidden"]:
    """The mean of the vectors where `mask` is true, in float32; 0 where it never is."""
    counts = jnp.maximum(jnp.sum(mask, axis=1, dtype=jnp.float32), 1.0)
    kept = jnp.where(mask[..., None], hidden.astype(jnp.float32), 0.0)
    return jnp.sum(kept, axis=1) / counts[:, None]
