"""BERT (Devlin et al. 2019): the teacher, and the same layers as a decoder.

Unlike the student it has token-type embeddings (`config.type_vocab_size`), dropout on the attention
output (`config.attention_output_dropout`) and a pooler.
"""

from dataclasses import replace

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.backbone import Backbone
from model.blocks.layers import linear
from model.config import EncoderConfig
from model.output import ModelOutput


class Pooler(nnx.Module):
    """The tanh of a dense layer over the hidden state of [CLS]."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.dense = linear(config, config.hidden_size, config.hidden_size, rngs=rngs)

    def __call__(self, hidden: Float[Array, "batch length hidden"]) -> Float[Array, "batch hidden"]:
        return jnp.tanh(self.dense(hidden[:, 0]))


class Bert(Backbone):
    """The BERT encoder; masked LM and tagging do not use the pooler and leave it out."""

    architecture = "bert"

    def __init__(self, config: EncoderConfig, *, pooler: bool = True, rngs: nnx.Rngs):
        super().__init__(config, rngs=rngs)
        self.pooler = Pooler(config, rngs=rngs) if pooler else None

    def __call__(self, *args, **kwargs) -> ModelOutput:
        output = super().__call__(*args, **kwargs)
        if self.pooler is None:
            return output
        return replace(output, pooled=self.pooler(output.last_hidden))


class CausalBert(Backbone):
    """BERT's layers read from left to right: a token sees only itself and those before it."""

    architecture = "bert"
    causal = True
