"""A model from text to text: an encoder that reads, and a decoder that writes."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Int

from model.backbone import Backbone
from model.blocks.encoder import EncodedText
from model.blocks.layers import linear
from model.decoder.causal_lm import CausalLM
from model.decoder.settings import GenerationConfig
from model.output import ModelOutput, Names

Mask = Int[Array, "batch _"] | Bool[Array, "batch _"]


class Seq2Seq(nnx.Module):
    """An encoder and a decoder that attends to it, transformers' EncoderDecoderModel.

    Args:
        encoder: a `Bert` or `DistilBert`; a BERT's pooler is kept, because transformers has it, and
            not used.
        decoder: one that `crosses`, of any depth and width; from another width than the encoder's
            leads a dense layer.
        generation: the settings with which it generates by default.
        rngs: draws the weights of that layer.
    """

    def __init__(
        self,
        encoder: Backbone,
        decoder: CausalLM,
        *,
        generation: GenerationConfig | None = None,
        rngs: nnx.Rngs,
    ):
        self.config = encoder.config
        self.encoder = encoder
        self.decoder = decoder
        widths = encoder.config.hidden_size, decoder.config.hidden_size
        differ = widths[0] != widths[1]
        self.projection = linear(decoder.config, *widths, rngs=rngs) if differ else None
        self.generation = generation

    @property
    def backbone(self) -> Backbone:
        """The encoder, by the name that it has in other models."""
        return self.encoder

    def __call__(
        self,
        input_ids: Int[Array, "batch length"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Array, "batch length"] | None = None,
        *,
        decoder_input_ids: Int[Array, "batch target"],
        decoder_attention_mask: Int[Array, "batch target"]
        | Bool[Array, "batch target"]
        | None = None,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
    ) -> ModelOutput:
        """The decoder's output for given targets, all at once (teacher forcing).

        Args:
            input_ids: the source, see `Backbone`.
            attention_mask: true on its tokens.
            token_type_ids: its segments, BERT only.
            decoder_input_ids: the start token, then the target; the logits at a place are those of
                the token after it.
            decoder_attention_mask: true on these tokens.
            outputs: names of what else the decoder returns.
            rngs: its `dropout` stream draws the dropout of both.
        """
        source = self.read(input_ids, attention_mask, token_type_ids, rngs=rngs)
        return self.decoder(
            decoder_input_ids, decoder_attention_mask, source=source, outputs=outputs, rngs=rngs
        )

    def read(
        self,
        input_ids: Int[Array, "batch length"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Array, "batch length"] | None = None,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> EncodedText:
        """The source as the decoder attends to it."""
        output = self.encoder(input_ids, attention_mask, token_type_ids, rngs=rngs)
        states = output.last_hidden
        if self.projection is not None:
            states = self.projection(states)
        mask = jnp.ones_like(input_ids) if attention_mask is None else attention_mask
        return EncodedText(states, mask.astype(bool)[:, None])
