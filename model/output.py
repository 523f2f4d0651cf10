"""The output of a model."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Array, Float

Names = Collection[str]
Extras = dict[str, Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ModelOutput:
    """The output of a model; what it does not compute, or was not asked for, is None."""

    last_hidden: Float[Array, "batch length hidden"]
    """The encoder's last hidden states, in the compute dtype."""
    pooled: Float[Array, "batch hidden"] | None = None
    """BERT's pooler: tanh of a dense layer over [CLS]."""
    embedding: Float[Array, "batch hidden"] | None = None
    """float32: one vector for the text, of `model.tasks.Embedder`."""
    logits: Float[Array, "..."] | None = None
    """float32: [batch, length, vocab] masked LM, [batch, labels] sequence classification,
    [batch, length, labels] token classification, [batch, choices] multiple choice."""
    next_sentence_logits: Float[Array, "batch 2"] | None = None
    start_logits: Float[Array, "batch length"] | None = None
    end_logits: Float[Array, "batch length"] | None = None
    hidden_states: tuple[Float[Array, "batch length hidden"], ...] | None = None
    """The embeddings, then every layer's output: num_layers + 1 entries."""
    attentions: tuple[Float[Array, "batch heads length length"], ...] | None = None
    """Attention probabilities of every layer, float32."""
    scores: tuple[Float[Array, "batch heads length length"], ...] | None = None
    """Scaled q k^T of every layer before mask and softmax, float32."""
    qkv: tuple[tuple[Array, Array, Array], ...] | None = None
    """Query, key and value of every layer, each [batch, length, heads, head]."""
