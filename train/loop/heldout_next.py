"""Metrics of decoders on held-out sequences: how well each token is predicted from those before."""

from typing import Any

import jax.numpy as jnp

from train.loop.heldout_text import HeldOutText, PredictedTokens
from train.objectives.next_token import next_tokens


class HeldOutNext(HeldOutText):
    """Held-out sequences, each token predicted from those before it; see `HeldOutText`.

    All tokens count but [CLS], [SEP], [UNK] and padding.

    perplexity: the exponential of the loss. At the start of a sequence the text before it is not
        seen; `eval.perplexity` measures whole texts.
    """

    name = "next_token"

    def ask(self, batch: dict[str, Any]) -> PredictedTokens:
        ids, attended = batch["input_ids"], batch["attention_mask"]
        labels = next_tokens(ids)
        text = jnp.isfinite(jnp.asarray(self.log_weights))[labels]
        return PredictedTokens(ids, labels, text & next_tokens(attended), lambda hidden: hidden)
