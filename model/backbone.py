"""The part that BERT and DistilBERT share: embeddings, then the encoder."""

from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Int

from model.blocks.embeddings import Embeddings
from model.blocks.encoder import Encoder
from model.calls import check_call
from model.config import Architecture, EncoderConfig
from model.output import ModelOutput, Names


class Backbone(nnx.Module):
    """An encoder from tokens to hidden states.

    Raises:
        ValueError: the configuration is for the other architecture.
    """

    architecture: ClassVar[Architecture]

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        if config.architecture != self.architecture:
            raise ValueError(f"{type(self).__name__} got a {config.architecture} configuration")
        self.config = config
        self.embeddings = Embeddings(config, rngs=rngs)
        self.encoder = Encoder(config, rngs=rngs)

    def __call__(
        self,
        input_ids: Int[Array, "batch length"],
        attention_mask: Int[Array, "batch length"] | Bool[Array, "batch length"] | None = None,
        token_type_ids: Int[Array, "batch length"] | None = None,
        *,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
        **others: Any,
    ) -> ModelOutput:
        """Encodes a batch.

        Args:
            input_ids: token ids.
            attention_mask: true on real tokens, false on padding; by default all are real.
            token_type_ids: segment of every token, BERT only; by default all 0.
            outputs: what else to return: `hidden_states`, `attentions`, `scores`, `qkv`. Nothing
                else is computed.
            rngs: its `dropout` stream draws the dropout; without `rngs` there is no dropout.
            others: arguments of other libraries, for which the message has the right form.

        Raises:
            InputError: the sequence is longer than the position table, token types are given to a
                model that has none, a name in `outputs` is unknown, or there are other arguments.
        """
        check_call(input_ids, outputs, others)
        mask = jnp.ones_like(input_ids) if attention_mask is None else attention_mask
        hidden = self.embeddings(input_ids, token_type_ids, rngs=rngs)
        hidden, extras = self.encoder(hidden, mask.astype(bool), outputs=outputs, rngs=rngs)
        return ModelOutput(last_hidden=hidden, **extras)
