"""Attention of a model's layers to the tokens of a text, for pictures of it."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from data.vocabulary import Vocabulary
from eval.serve.ability import Ability, Query, Reply
from model.backbone import Backbone
from model.errors import InputError
from tasks.windows import too_long

PICTURED = 64
"""Tokens of a text, [CLS] and [SEP] included: a picture of more cannot be read."""
DIGITS = 4


class Attending(Ability):
    """The attention of one layer's heads, of every token to every other.

    Args:
        backbone: the model without its head.
        vocabulary: its own.
    """

    name = "attention"
    noun = "an encoder"
    fields = ("layer",)
    together = 1

    def __init__(self, backbone: Backbone, vocabulary: Vocabulary):
        self.backbone, self.vocabulary = backbone, vocabulary
        self.length = min(PICTURED, backbone.config.max_positions)

    def check(self, query: Query) -> None:
        last, layer = self.backbone.config.num_layers - 1, query.settings.get("layer", 0)
        if not 0 <= layer <= last:
            raise InputError(f'"layer" is {layer}: this model has the layers 0 to {last}')

    def key(self, query: Query) -> Hashable:
        return query.settings.get("layer", 0)

    def answer(self, queries: Sequence[Query]) -> list[Reply]:
        return [self._reply(query) for query in queries]

    def _reply(self, query: Query) -> Reply:
        layer, longer, results = query.settings.get("layer", 0), 0, []
        for text in query.texts:
            encoding = self.vocabulary.tokenizer.encode(text)
            places = [*range(len(encoding.ids))]
            if len(places) > self.length:
                longer += 1
                places = [*places[: self.length - 1], places[-1]]
            ids = [encoding.ids[place] for place in places]
            tokens = [encoding.tokens[place] for place in places]
            results.append(
                {"text": text, "layer": layer, "tokens": tokens, "heads": self._heads(ids, layer)}
            )
        remarks = too_long(longer, len(results), self.length, "their beginning is shown")
        return Reply(results, list(map(str, remarks)))

    def _heads(self, ids: Sequence[int], layer: int) -> list[Any]:
        count = len(ids)
        padded = np.full((1, self.length), self.vocabulary.special.pad, np.int32)
        padded[0, :count] = ids
        attended = np.arange(self.length)[None] < count
        maps = np.asarray(_attentions(self.backbone, padded, attended))
        return np.round(maps[layer, 0, :, :count, :count].astype(float), DIGITS).tolist()

    def rehearsals(self) -> Iterator[Query]:
        yield Query(("a",), {})


@jax.jit
def _attentions(
    backbone: Backbone, input_ids: Int[Array, "rows length"], attended: Bool[Array, "rows length"]
) -> Float[Array, "layers rows heads length length"]:
    maps = backbone(input_ids, attended, outputs=("attentions",)).attentions
    assert maps is not None
    return jnp.stack(maps)
