"""Multi-head attention (Vaswani et al. 2017, section 3.2), the same in teacher and student."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from model.blocks.attend import attend, attend_by_head, goes_by_head
from model.blocks.flash import attend_by_flash, has_flash
from model.blocks.layers import Linear, linear
from model.blocks.segments import AttentionMask, pairs_of
from model.config import EncoderConfig
from model.output import Extras, Names


class KeysValues(NamedTuple):
    """The places of a source, as an attention reads them."""

    key: Float[Array, "batch places heads head"]
    value: Float[Array, "batch places heads head"]


class Attention(nnx.Module):
    """softmax(q k^T / sqrt(d)) v in `num_heads` heads, then a dense layer over all heads."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        width = config.hidden_size
        self.config = config
        self.query = linear(config, width, width, rngs=rngs)
        self.key = linear(config, width, width, rngs=rngs)
        self.value = linear(config, width, width, rngs=rngs)
        self.out = linear(config, width, width, rngs=rngs)

    def __call__(
        self,
        hidden: Float[Array, "batch length hidden"],
        mask: AttentionMask,
        *,
        source: Float[Array, "batch places hidden"] | KeysValues | None = None,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
    ) -> tuple[Float[Array, "batch length hidden"], Extras]:
        """Attends from every token to the places of a source where `mask` is true.

        Args:
            hidden: the tokens that attend.
            mask: the places that each token sees, or that all of them see; without one every place.
            source: hidden states, or what `keys_values` made of some; by default those of the
                tokens themselves: self-attention.
            outputs: names of what else to return.
            rngs: draws the dropout.

        Returns:
            The new hidden states, and by name those of the following that `outputs` names: `scores`
            (before mask and softmax) and `attentions` (probabilities before dropout), both [batch,
            heads, length, places], and `qkv`, each [batch, length or places, heads, head].
        """
        query = self._by_head(self.query, hidden)
        if not isinstance(source, KeysValues):
            source = self.keys_values(hidden if source is None else source)
        key, value = source
        extras: Extras = {"qkv": (query, key, value)}
        rate = 0.0 if rngs is None else self.config.attention_dropout
        with_maps = "scores" in outputs or "attentions" in outputs
        if not with_maps and not rate and has_flash(query, key):
            context = attend_by_flash(query, key, value, mask)
        else:
            query, key, value = (jnp.swapaxes(array, 1, 2) for array in (query, key, value))
            mask = pairs_of(mask)
            if not with_maps and goes_by_head(query, key, rate > 0.0):
                context = attend_by_head(query, key, value, mask, rate, rngs)
            else:
                pairs = None if mask is None else mask[:, None]
                context, scores, attentions = attend(query, key, value, pairs, rate, rngs)
                extras |= {"scores": scores, "attentions": attentions}
            context = jnp.swapaxes(context, 1, 2)
        return self.out(context.reshape(hidden.shape)), {
            name: extras[name] for name in outputs if name in extras
        }

    def keys_values(self, source: Float[Array, "batch places hidden"]) -> KeysValues:
        """The keys and values of a source, which need be made only once for many tokens."""
        return KeysValues(self._by_head(self.key, source), self._by_head(self.value, source))

    def _by_head(self, layer: Linear, hidden: Array) -> Array:
        heads = self.config.num_heads, self.config.head_size
        return layer(hidden).reshape(*hidden.shape[:2], *heads)
