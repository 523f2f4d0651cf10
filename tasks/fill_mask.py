"""Likeliest pieces in the place of [MASK], from a masked-LM model."""

import jax
import jax.numpy as jnp

from data.vocabulary import Vocabulary
from model.errors import InputError
from model.tasks import MaskedLM


def fill_mask(
    model: MaskedLM, vocabulary: Vocabulary, text: str, *, top: int = 5
) -> list[list[tuple[str, float]]]:
    """For every [MASK] in the text, the `top` likeliest pieces and their probabilities.

    Raises:
        InputError: the text has no [MASK].
    """
    tokenizer, mask = vocabulary.tokenizer, vocabulary.special.mask
    ids = tokenizer.encode(text).ids
    places = [place for place, index in enumerate(ids) if index == mask]
    if not places:
        raise InputError(f"there is no [MASK] to fill in {text!r}")
    hidden = model.backbone(jnp.asarray([ids])).last_hidden[0, jnp.asarray(places)]
    probabilities, pieces = jax.lax.top_k(jax.nn.softmax(model.predict_tokens(hidden)), top)
    return [
        [(tokenizer.id_to_token(int(i)) or "", float(p)) for i, p in zip(row, shares, strict=True)]
        for row, shares in zip(pieces, probabilities, strict=True)
    ]
