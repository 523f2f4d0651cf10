"""Likeliest pieces in the place of [MASK], from a masked-LM model."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from data.vocabulary import Vocabulary
from model.tasks import MaskedLM
from tasks.predict import batches_of_like_lengths
from tasks.windows import Windows

Filling = list[tuple[str, float]]
"""Pieces and their probabilities, the likeliest first."""
FEW_MASKS = 8


def fill_masks(
    model: MaskedLM,
    vocabulary: Vocabulary,
    texts: Sequence[str],
    *,
    top: int,
    rows: int | Sequence[int],
    lengths: Sequence[int],
) -> list[list[Filling]]:
    """For each text and every [MASK] in it, the `top` likeliest pieces.

    Texts are read in batches of one of the `rows`, padded to one of the `lengths`; both rise.
    """
    tokenizer, special = vocabulary.tokenizer, vocabulary.special
    ids = [np.array(e.ids, np.int32) for e in tokenizer.encode_batch(list(texts))]
    places = [np.flatnonzero(of_text == special.mask) for of_text in ids]
    windows = Windows(ids, np.arange(len(ids)), pad_id=special.pad)
    result: list[list[Filling]] = [[] for _ in texts]
    for chosen, batch in batches_of_like_lengths(windows, lengths, rows):
        ids, mask = batch["input_ids"], batch["attention_mask"]
        most = max(len(ids), FEW_MASKS)
        asked = np.array([(row, p) for row, text in enumerate(chosen) for p in places[text]])
        for first in range(0, len(asked), most):
            some = asked[first : first + most]
            shares = fill_mask(model, ids, mask, np.resize(some, (most, 2)))
            for (row, _), share in zip(some, np.asarray(shares), strict=False):
                best = np.argsort(-share, kind="stable")[:top]
                pieces = [(tokenizer.id_to_token(int(i)) or "", float(share[i])) for i in best]
                result[chosen[row]].append(pieces)
    return result


@jax.jit
def fill_mask(
    model: MaskedLM,
    input_ids: Int[Array, "rows length"],
    attention_mask: Bool[Array, "rows length"],
    asked: Int[Array, "masks 2"],
) -> Float[Array, "masks vocab"]:
    """The probabilities of all pieces at places (row, position) of a batch."""
    hidden = model.backbone(input_ids, attention_mask).last_hidden[asked[:, 0], asked[:, 1]]
    return jax.nn.softmax(model.predict_tokens(hidden))
