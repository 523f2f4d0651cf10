"""The check of how a model is called, with the right form for calls of other libraries."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from model.errors import InputError, did_you_mean
from model.output import Names

OUTPUT_NAMES = ("hidden_states", "attentions", "scores", "qkv")
_ELSEWHERE = {f"output_{name}": f'outputs=("{name}",)' for name in OUTPUT_NAMES} | {
    "return_dict": "nothing: what is returned has names, output.logits",
    "deterministic": "rngs, with which there is dropout, or nothing",
    "train": "rngs, with which there is dropout, or nothing",
    "labels": "nothing, and compute the loss from output.logits: model.losses has several",
    "inputs_embeds": "input_ids: a model reads token ids",
    "position_ids": "nothing, or segments, in each of which positions are counted from 0",
}


def check_call(input_ids: Any, outputs: Names, others: Mapping[str, Any]) -> None:
    """Checks the arguments of a model, of which `others` are those that it does not have.

    Raises:
        InputError: they are none; the sentence says what to write.
    """
    for name in others:
        instead = _ELSEWHERE.get(name)
        known = ("input_ids", "attention_mask", "token_type_ids", "segments", "outputs", "rngs")
        raise InputError(
            f"a model has no argument {name}: "
            + (f"pass {instead}" if instead else did_you_mean(name, known))
        )
    if isinstance(outputs, str):
        raise InputError(f'outputs is a tuple of names: write outputs=("{outputs}",)')
    for name in outputs:
        if name not in OUTPUT_NAMES:
            raise InputError(f"a model has no output {name}: {did_you_mean(name, OUTPUT_NAMES)}")
    shape, kind = np.shape(input_ids), getattr(input_ids, "dtype", None)
    if kind is None or not jnp.issubdtype(kind, jnp.integer):
        raise InputError(
            "a model reads an array of token ids, [batch, length]: for texts there is python -m "
            "eval.predict, and the ids are those of data.tokenizer.load_vocabulary(folder)"
        )
    if len(shape) != 2:
        raise InputError(
            f"input_ids has the shape {shape}, and should be [batch, length]"
            + (": write input_ids[None] for one row" if len(shape) == 1 else "")
        )
