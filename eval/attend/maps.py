"""Attention maps as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float32

from data.vocabulary import Vocabulary
from model.decoder.causal_lm import CausalLM
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.hf.config import is_decoder
from model.hf.weight_map import ENCODERS
from model.pretrained import load
from tasks.words.encode import check_text

Maps = Float32[np.ndarray, "layers heads length length"]


@dataclass(frozen=True)
class AttentionMaps:
    """The attention maps of a model for one text."""

    name: str
    tokens: tuple[str, ...]
    maps: Maps
    """From the token of the third axis to those of the fourth."""


def encode_text(vocabulary: Vocabulary, text: str, checkpoints: Sequence[Checkpoint]) -> list[int]:
    """The ids of a text, with [CLS] and [SEP], that all these models can read.

    Raises:
        InputError: the text is empty or too long, or a model does not read a text alone.
    """
    check_text(text, "TEXT")
    ids = vocabulary.tokenizer.encode(text).ids
    for each in checkpoints:
        if each.decoder is not None:
            raise InputError(
                f"{each.name} is an encoder with a decoder, whose attention is between two texts: "
                "name an encoder or a decoder alone"
            )
        vocabulary.check_rows(each.config.vocab_size, each.name)
        if len(ids) > each.config.max_positions:
            raise InputError(
                f"TEXT has {len(ids):,} tokens, and {each.name} reads up to "
                f"{each.config.max_positions}: give a shorter one"
            )
    return ids


def attention_maps(checkpoint: Checkpoint, ids: Sequence[int]) -> Maps:
    """The attention probabilities of all layers and heads, in float32.

    Raises:
        InputError: the weights cannot be read.
    """
    decodes = is_decoder(checkpoint.settings)
    model: Any = load(checkpoint, CausalLM if decodes else ENCODERS[checkpoint.config.architecture])
    structure, params = nnx.split(model.backbone if decodes else model)

    @jax.jit
    def read(params: Any, ids: jax.Array) -> Any:
        return nnx.merge(structure, params)(ids, outputs=("attentions",)).attentions

    return np.concatenate(jax.device_get(read(params, jnp.asarray([ids], jnp.int32))))
