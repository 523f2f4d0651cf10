"""The part that all models share: embeddings, then the layers."""

from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Int

from model.blocks.embeddings import Embeddings
from model.blocks.encoder import EncodedText, Encoder
from model.blocks.segments import blocks, pairs_of, text_positions
from model.calls import check_call
from model.config import Architecture, EncoderConfig
from model.errors import InputError
from model.output import ModelOutput, Names


class Backbone(nnx.Module):
    """A model from tokens to hidden states.

    Args:
        config: its shape.
        crosses: whether its layers also attend to another text, the `source` of a call.
        rngs: draws the weights.

    Raises:
        ValueError: the configuration is for the other architecture.
    """

    architecture: ClassVar[Architecture]
    causal: ClassVar[bool] = False
    """True if a token sees only itself and those before it."""

    def __init__(self, config: EncoderConfig, *, crosses: bool = False, rngs: nnx.Rngs):
        if config.architecture != self.architecture:
            raise ValueError(f"{type(self).__name__} got a {config.architecture} configuration")
        self.config = config
        self.crosses = crosses
        self.embeddings = Embeddings(config, rngs=rngs)
        self.encoder = Encoder(config, crosses=crosses, rngs=rngs)

    def __call__(
        self,
        input_ids: Int[Array, "batch length"],
        attention_mask: Int[Array, "batch length"] | Bool[Array, "batch length"] | None = None,
        token_type_ids: Int[Array, "batch length"] | None = None,
        *,
        segments: Int[Array, "batch length"] | None = None,
        source: EncodedText | None = None,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
        **others: Any,
    ) -> ModelOutput:
        """Encodes a batch.

        Args:
            input_ids: token ids.
            attention_mask: true on real tokens, false on padding; by default all are real.
            token_type_ids: 1 on the second text of a pair, BERT only; by default all 0.
            segments: the number of each token's text where a row holds several, from 1, and 0 on
                padding. Each is read as if it were alone; a pooled output is the first one's.
            source: the other text, for a model that `crosses` and no other.
            outputs: what else to return: `hidden_states`, `attentions`, `scores`, `qkv`. Nothing
                else is computed.
            rngs: its `dropout` stream draws the dropout; without `rngs` there is no dropout.
            others: arguments of other libraries, for which the message has the right form.

        Raises:
            InputError: the sequence is longer than the position table, token types are given to a
                model that has none, a name in `outputs` is unknown, there are other arguments,
                both an attention mask and segments, or a source is missing or too many.
        """
        check_call(input_ids, outputs, others)
        if (source is not None) != self.crosses:
            raise InputError(
                "this decoder also reads another text: pass its hidden states as source"
                if self.crosses
                else "this model reads one text only: leave source out"
            )
        positions = mask = None
        if segments is not None:
            if attention_mask is not None:
                raise InputError("segments are 0 on padding: leave attention_mask out beside them")
            positions, mask = text_positions(segments), blocks(segments)
        elif attention_mask is not None:
            mask = attention_mask.astype(bool)[:, None]
        if self.causal:
            length = input_ids.shape[1]
            before = jnp.broadcast_to(jnp.tri(length, dtype=bool), (*input_ids.shape, length))
            pairs = pairs_of(mask)
            mask = before if pairs is None else before & pairs
        hidden = self.embeddings(input_ids, token_type_ids, positions=positions, rngs=rngs)
        hidden, extras = self.encoder(hidden, mask, source=source, outputs=outputs, rngs=rngs)
        return ModelOutput(last_hidden=hidden, **extras)
