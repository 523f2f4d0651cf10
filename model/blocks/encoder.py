"""The stack of Transformer layers that teacher and student share."""

from typing import Any, NamedTuple

from flax import nnx
from jaxtyping import Array, Bool, Float

from model.blocks.attention import Attention, KeysValues
from model.blocks.layers import LayerNorm, dropout, gelu, linear
from model.blocks.segments import AttentionMask
from model.config import EncoderConfig
from model.output import Extras, Names


class FeedForward(nnx.Module):
    """Two dense layers with an exact GELU between them, for each token separately."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.up = linear(config, config.hidden_size, config.intermediate_size, rngs=rngs)
        self.down = linear(config, config.intermediate_size, config.hidden_size, rngs=rngs)

    def __call__(
        self, hidden: Float[Array, "batch length hidden"]
    ) -> Float[Array, "batch length hidden"]:
        return self.down(gelu(self.up(hidden)))


class EncodedText(NamedTuple):
    """A text that the layers of a decoder attend to."""

    states: Float[Array, "batch places hidden"] | KeysValues
    """Its hidden states; or for one layer the keys and values that it makes of them."""
    mask: Bool[Array, "batch 1 places"]
    """True on tokens, false on padding."""


class Layer(nnx.Module):
    """Attention and feed-forward, each added to its input and normalised after (post-LN).

    With `crosses`, as in a decoder, a second attention between the two reads another text.
    """

    def __init__(self, config: EncoderConfig, *, crosses: bool = False, rngs: nnx.Rngs):
        self.config = config
        self.attention = Attention(config, rngs=rngs)
        self.attention_norm = LayerNorm(config, rngs=rngs)
        self.cross_attention = Attention(config, rngs=rngs) if crosses else None
        self.cross_norm = LayerNorm(config, rngs=rngs) if crosses else None
        self.feed_forward = FeedForward(config, rngs=rngs)
        self.output_norm = LayerNorm(config, rngs=rngs)

    def __call__(
        self,
        hidden: Float[Array, "batch length hidden"],
        mask: AttentionMask,
        *,
        known: KeysValues | None = None,
        source: EncodedText | None = None,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
    ) -> tuple[Float[Array, "batch length hidden"], Extras]:
        """The new hidden states, and those extras of the first attention that `outputs` names.

        Args:
            hidden: the tokens.
            mask: the places that each token sees, or that all of them see; without one every place.
            known: the places, where they are other tokens than those of `hidden`.
            source: the other text, which a layer that crosses needs.
            outputs: see `Attention`.
            rngs: draws the dropout.
        """
        config = self.config
        attended, extras = self.attention(hidden, mask, source=known, outputs=outputs, rngs=rngs)
        attended = dropout(attended, config.attention_output_dropout, rngs)
        hidden = self.attention_norm(hidden + attended)
        if self.cross_attention is not None:
            assert self.cross_norm is not None and source is not None
            attended, _ = self.cross_attention(hidden, source.mask, source=source.states, rngs=rngs)
            attended = dropout(attended, config.attention_output_dropout, rngs)
            hidden = self.cross_norm(hidden + attended)
        transformed = dropout(self.feed_forward(hidden), config.hidden_dropout, rngs)
        return self.output_norm(hidden + transformed), extras


class Encoder(nnx.Module):
    """`num_layers` layers, one after the other."""

    def __init__(self, config: EncoderConfig, *, crosses: bool = False, rngs: nnx.Rngs):
        self.layers = nnx.List(
            [Layer(config, crosses=crosses, rngs=rngs) for _ in range(config.num_layers)]
        )
        self.remat = False
        """Activation checkpointing (Chen et al. 2016): only the input of each layer is kept for the
        gradient, and its activations are computed again."""

    def __call__(
        self,
        hidden: Float[Array, "batch length hidden"],
        mask: AttentionMask,
        *,
        source: EncodedText | None = None,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
    ) -> tuple[Float[Array, "batch length hidden"], Extras]:
        """The last hidden states and, for every name in `outputs`, a tuple over layers."""
        collected: dict[str, list] = {name: [] for name in outputs}
        if "hidden_states" in collected:
            collected["hidden_states"].append(hidden)

        def run(layer: Layer, hidden: Array, mask: Any, source: Any, rngs: nnx.Rngs | None):
            return layer(hidden, mask, source=source, outputs=outputs, rngs=rngs)

        run = nnx.remat(run) if self.remat else run
        for layer in self.layers:
            hidden, extras = run(layer, hidden, mask, source, rngs)
            if "hidden_states" in collected:
                extras["hidden_states"] = hidden
            for name, value in extras.items():
                collected[name].append(value)
        return hidden, {name: tuple(values) for name, values in collected.items()}
