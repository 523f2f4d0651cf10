"""Vectors of texts that stand side by side in a window."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float32

from model.tasks import read_batch


def vectors_side_by_side(
    model: nnx.Module,
    batch: Mapping[str, Array],
    query_length: int | None,
    rngs: nnx.Rngs | None,
) -> Float32[Array, "rows texts width"]:
    """The vectors of the texts of each row; of the first only `query_length` tokens are read.

    `batch` has `input_ids` and `attention_mask`, [rows, length, texts]. The vector of a text that
    is not there means nothing.
    """
    # One token of it is read all the same: attention needs one.
    columns = {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"].at[:, 0].set(True),
    }

    def read(texts: slice, length: int) -> Array:
        parts = {n: jnp.moveaxis(c[:, :length, texts], 1, 2) for n, c in columns.items()}
        rows, count, _ = parts["input_ids"].shape
        flat = {name: part.reshape(rows * count, -1) for name, part in parts.items()}
        flat["token_type_ids"] = jnp.zeros_like(flat["input_ids"])
        vectors = read_batch(model, flat, rngs=rngs).embedding
        assert vectors is not None
        return vectors.reshape(rows, count, -1)

    length = batch["input_ids"].shape[1]
    if query_length is None or query_length >= length:
        return read(slice(None), length)
    return jnp.concatenate([read(slice(0, 1), query_length), read(slice(1, None), length)], axis=1)
