"""Both sides of an encoder with a decoder, to and from the tensors of one checkpoint."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.hf.files import Tensors
from model.hf.tensors import load_part, tensors_of
from model.hf.weight_map import ENCODERS

_PROJECTION = "enc_to_dec_proj"
"""The module from the encoder's width to the decoder's."""


def load_seq2seq(checkpoint: Checkpoint, changes: Mapping[str, Any]) -> Seq2Seq:
    """An encoder and a decoder, each from the tensors that begin with the name of its side."""
    parts: dict[str, Tensors] = {"encoder": {}, "decoder": {}, _PROJECTION: {}}
    for name, tensor in checkpoint.read_tensors().items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise InputError(
                f"{checkpoint.name} does not fit {Seq2Seq.__name__}: {name} is unknown"
            )
        parts[part][rest] = tensor
    sides = {side: checkpoint.side(side) for side in ("encoder", "decoder")}
    encoder_class = ENCODERS[sides["encoder"].config.architecture]
    encoder = load_part(sides["encoder"], encoder_class, parts["encoder"], changes)
    decoder = load_part(sides["decoder"], CausalLM, parts["decoder"], changes, crosses=True)
    model = Seq2Seq(
        encoder, decoder, generation=checkpoint.read_generation(), rngs=nnx.Rngs(params=0)
    )
    wanted, stored = _projection(model, "float32"), parts[_PROJECTION]
    if {n: t.shape for n, t in wanted.items()} != {n: t.shape for n, t in stored.items()}:
        raise InputError(
            f"{checkpoint.name} does not fit {Seq2Seq.__name__}: {_PROJECTION} should be there if "
            "the encoder has another width than the decoder, and lead from the one to the other"
        )
    if model.projection is not None:
        state = {"kernel": stored["weight"].T, "bias": stored["bias"]}
        nnx.update(model.projection, {n: jnp.asarray(t, jnp.float32) for n, t in state.items()})
    return model


def seq2seq_tensors(model: Seq2Seq, dtype: str) -> Tensors:
    """The parameters of both sides, as transformers names and stores them."""
    parts = {
        "encoder": tensors_of(model.encoder, dtype),
        "decoder": tensors_of(model.decoder, dtype),
        _PROJECTION: _projection(model, dtype),
    }
    return {f"{part}.{name}": tensor for part, all in parts.items() for name, tensor in all.items()}


def _projection(model: Seq2Seq, dtype: str) -> Tensors:
    if model.projection is None:
        return {}
    state = nnx.to_pure_dict(nnx.state(model.projection))
    kernel, bias = (np.asarray(state[name], dtype) for name in ("kernel", "bias"))
    return {"weight": np.ascontiguousarray(kernel.T), "bias": bias}
