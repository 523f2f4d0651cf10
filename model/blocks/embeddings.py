"""Token, position and (in BERT) token-type embeddings."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from model.blocks.layers import LayerNorm, dropout
from model.config import EncoderConfig
from model.errors import InputError


class Embeddings(nnx.Module):
    """The sum of the embeddings, LayerNorm, dropout (Devlin et al. 2019, figure 2)."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        def table(rows: int) -> nnx.Embed:
            return nnx.Embed(
                rows,
                config.hidden_size,
                embedding_init=nnx.initializers.normal(config.initializer_range),
                rngs=rngs,
            )

        self.config = config
        self.word = table(config.vocab_size)
        self.word.embedding[...] = self.word.embedding[...].at[config.pad_token_id].set(0.0)
        self.position = table(config.max_positions)
        # DistilBERT leaves the token types out (Sanh et al. 2019, section 3).
        self.token_type = table(config.type_vocab_size) if config.type_vocab_size else None
        self.norm = LayerNorm(config, rngs=rngs)

    def __call__(
        self,
        input_ids: Int[Array, "batch length"],
        token_type_ids: Int[Array, "batch length"] | None = None,
        *,
        positions: Int[Array, "#batch length"] | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, "batch length hidden"]:
        """The embeddings of tokens at the positions 0, 1, 2, ... or those that are given.

        By default all token types are 0.

        Raises:
            InputError: the sequence is longer than the position table, or token types are given to
                a model that has none.
        """
        length = input_ids.shape[1]
        if length > self.config.max_positions:
            raise InputError(
                f"a sequence of {length} tokens is longer than the {self.config.max_positions} "
                "positions of the model: shorten it or cut it into windows"
            )
        if token_type_ids is not None and self.token_type is None:
            raise InputError("this model has no token types: leave token_type_ids out")

        table = self.position.embedding[...]
        vectors = table[None, :length] if positions is None else table[positions]
        hidden = self.word(input_ids) + vectors
        if self.token_type is not None:
            types = jnp.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            hidden = hidden + self.token_type(types)
        # Summed and normalised in float32; the compute dtype starts here.
        hidden = self.norm(hidden).astype(self.config.dtype)
        return dropout(hidden, self.config.hidden_dropout, rngs)
