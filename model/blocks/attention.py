"""Multi-head attention (Vaswani et al. 2017, section 3.2), the same in teacher and student."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from model.blocks.flash import implementation, pair_mask
from model.blocks.layers import Linear, dropout, linear
from model.blocks.products import einsum, precision_of
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
        mask: Bool[Array, "batch #length places"],
        *,
        source: Float[Array, "batch places hidden"] | KeysValues | None = None,
        outputs: Names = (),
        rngs: nnx.Rngs | None = None,
    ) -> tuple[Float[Array, "batch length hidden"], Extras]:
        """Attends from every token to the places of a source where `mask` is true.

        Args:
            hidden: the tokens that attend.
            mask: the places that each token sees, or that all of them see.
            source: hidden states, or what `keys_values` made of some; by default those of the
                tokens themselves: self-attention.
            outputs: names of what else to return.
            rngs: draws the dropout.

        Returns:
            The new hidden states, and by name those of the following that `outputs` names: `scores`
            (before mask and softmax) and `attentions` (probabilities before dropout), both [batch,
            heads, length, places], and `qkv`, each [batch, length or places, heads, head].
        """
        config = self.config
        query = self._by_head(self.query, hidden)
        if not isinstance(source, KeysValues):
            source = self.keys_values(hidden if source is None else source)
        key, value = source
        extras: Extras = {"qkv": (query, key, value)}
        drops = rngs is not None and config.attention_dropout > 0.0
        if drops or "scores" in outputs or "attentions" in outputs:
            # Scores and softmax are float32 even when the matrix products read bfloat16.
            scores = einsum("bqnd,bknd->bnqk", query, key, jnp.float32)
            scores = scores * config.head_size**-0.5
            # The smallest float, not -inf: a row that is all padding then gives a mean, not NaN.
            masked = jnp.where(mask[:, None], scores, jnp.finfo(jnp.float32).min)
            attentions = jax.nn.softmax(masked)
            kept = dropout(attentions, config.attention_dropout, rngs).astype(value.dtype)
            context = einsum("bnqk,bknd->bqnd", kept, value)
            extras |= {"scores": scores, "attentions": attentions}
        else:
            # The same result without the attention maps, which a GPU then need not store.
            # In bfloat16 this multiplies by a float32 scale and rounds again, an implicit promotion
            # that strict mode would refuse.
            precision = jax.default_matmul_precision(precision_of(query.dtype))
            with precision, jax.numpy_dtype_promotion("standard"):
                context = jax.nn.dot_product_attention(
                    query,
                    key,
                    value,
                    mask=pair_mask(mask, hidden.shape[1]),
                    implementation=implementation(query, key),
                )
        return self.out(context.reshape(hidden.shape)), {
            name: extras[name] for name in outputs if name in extras
        }

    def keys_values(self, source: Float[Array, "batch places hidden"]) -> KeysValues:
        """The keys and values of a source, which need be made only once for many tokens."""
        return KeysValues(self._by_head(self.key, source), self._by_head(self.value, source))

    def _by_head(self, layer: Linear, hidden: Array) -> Array:
        heads = self.config.num_heads, self.config.head_size
        return layer(hidden).reshape(*hidden.shape[:2], *heads)
