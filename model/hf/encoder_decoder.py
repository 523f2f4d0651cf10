"""An encoder with a decoder, transformers' EncoderDecoderModel: its settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import EncoderConfig
from model.decoder.causal_lm import CausalLM
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError
from model.hf.config import encoder_config, write_config
from model.typed import as_type

SEQ2SEQ_CLASS = "EncoderDecoderModel"
_TYPE = "encoder-decoder"


def has_sides(raw: Mapping[str, Any]) -> bool:
    """True for the settings of an encoder with a decoder."""
    return raw.get("model_type") == _TYPE


def side_settings(raw: Mapping[str, Any], side: str, path: Path) -> dict[str, Any]:
    """The settings of the `encoder` or the `decoder`.

    Raises:
        InputError: there are none.
    """
    if side not in raw:
        raise InputError(f"{path} lacks {side}, the settings of that side of an {_TYPE}")
    settings = as_type(Mapping[str, Any], raw[side], str(path), side)
    return {key: value for key, value in settings.items() if value is not None}


def seq2seq_configs(raw: Mapping[str, Any], path: Path) -> tuple[EncoderConfig, EncoderConfig]:
    """The configurations of encoder and decoder.

    Raises:
        InputError: one of them is missing or of another model, or the decoder is a DistilBERT.
    """
    encoder, decoder = (side_settings(raw, side, path) for side in ("encoder", "decoder"))
    if decoder.get("model_type") == "distilbert":
        raise InputError(f"{path}: the decoder is a distilbert, and must be a bert of any depth")
    return encoder_config(encoder, path), encoder_config(decoder, path, crosses=True)


def write_seq2seq_config(model: Seq2Seq, dtype: str) -> dict[str, Any]:
    """The content of `config.json` for a model with weights stored as `dtype`.

    Raises:
        InputError: transformers has no such encoder or decoder.
    """
    generation = model.generation
    tokens = {}
    if generation is not None:
        tokens = {"decoder_start_token_id": generation.start, "pad_token_id": generation.pad}
    return {
        "architectures": [SEQ2SEQ_CLASS],
        "model_type": _TYPE,
        "is_encoder_decoder": True,
        "encoder": write_config(model.config, type(model.encoder), dtype),
        "decoder": write_config(model.decoder.config, CausalLM, dtype, crosses=True),
        **tokens,
        "dtype": dtype,
    }
