"""The objective of decoders, on one micro-batch of text: every token predicts the next one."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from data.vocabulary import SpecialIds
from model.blocks.segments import text_positions
from train.objectives.forward import attended, borders
from train.objectives.objective import DeviceBatch, LossInputs, Mean, Numbers, Scalars
from train.objectives.schedule import value_at
from train.objectives.terms import LogitTerm, numbers_of
from train.objectives.vocabulary import CHUNK, Given, vocabulary_loss


class NextTokenObjective:
    """The weighted sum of terms over the next tokens, with a teacher or without.

    Args:
        model: the structure of a `CausalLM`.
        sep_id: the id of [SEP].
        terms: by name.
        teacher: the structure of its teacher, if the terms need one; it reads without dropout.
    """

    mean: Mean = "tokens"
    vocabulary = True

    def __init__(
        self,
        model: nnx.GraphDef,
        sep_id: int,
        terms: Mapping[str, LogitTerm],
        teacher: nnx.GraphDef | None = None,
    ):
        self.model = model
        self.sep_id = sep_id
        self.terms = terms
        self.teacher = teacher

    def numbers(self, progress: Float[Array, ""]) -> Numbers:
        return {
            name: {number: value_at(ends, progress) for number, ends in numbers_of(term).items()}
            for name, term in self.terms.items()
        }

    def constants(self, counts: np.ndarray, special: SpecialIds) -> dict[str, Array]:
        """Nothing of the training text beside its batches."""
        return {}

    def prepare(self, constants: Any, batch: DeviceBatch, key: PRNGKeyArray) -> DeviceBatch:
        return {"input_ids": batch["input_ids"], **borders(batch)}

    def where(self, batch: DeviceBatch) -> dict[str, Bool[Array, "..."]]:
        places = jax.vmap(lambda micro: has_next(micro, self.sep_id))(batch)
        return dict.fromkeys(self.terms, places)

    def loss(self, inputs: LossInputs) -> tuple[Float[Array, ""], Scalars]:
        batch = inputs.batch
        ids, ends = batch["input_ids"], borders(batch)
        model = nnx.merge(self.model, inputs.params)
        with jax.named_scope("student"):
            hidden = model.backbone(ids, **ends, rngs=inputs.rngs).last_hidden
        decoder = None
        if self.teacher is not None:
            teacher = nnx.merge(self.teacher, inputs.constants["teacher"])
            with jax.named_scope("teacher"):
                decoder = teacher.decoder(teacher.backbone(ids, **ends).last_hidden)
        where = dict.fromkeys(self.terms, has_next(batch, self.sep_id))
        return vocabulary_loss(
            tuple(self.terms.items()),
            CHUNK,
            model.decoder(hidden),
            Given(decoder, next_tokens(ids), where),
            inputs.numbers,
            inputs.shares,
        )


def next_tokens(tokens: Shaped[Array, "rows length"]) -> Shaped[Array, "rows length"]:
    """For each token that of the next one; 0 or False after the last."""
    return jnp.pad(tokens[:, 1:], ((0, 0), (0, 1)))


def has_next(batch: DeviceBatch, sep_id: int) -> Bool[Array, "rows length"]:
    """True at the tokens after which another of the same text is predicted.

    Not where that is a [SEP] that ends a full row: it may stand where a long text is cut
    (`data.cutting`), and says nothing of texts. The first piece of such a text is a token shorter.
    """
    there, ids = attended(batch), batch["input_ids"]
    texts = batch.get("segments", there.astype(jnp.int32))
    cut = (next_tokens(text_positions(texts)) >= ids.shape[1] - 2) & (next_tokens(ids) == sep_id)
    return there & (next_tokens(texts) == texts) & ~cut
