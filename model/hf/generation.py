"""`generation_config.json` of transformers to and from `GenerationConfig`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.decoder.settings import GenerationConfig
from model.errors import InputError
from model.hf.config import read_settings
from model.typed import as_type

GENERATION_FILE = "generation_config.json"
_KINDS: dict[str, Any] = {
    "bos_token_id": int,
    "decoder_start_token_id": int,
    "pad_token_id": int,
    "suppress_tokens": tuple[int, ...],
    "max_length": int,
    "max_new_tokens": int,
    "num_beams": int,
    "length_penalty": float,
}
# Their values where they change nothing.
_NEUTRAL: dict[str, Any] = {
    "do_sample": False,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "bad_words_ids": None,
}

logger = logging.getLogger(__name__)


def read_generation(folder: Path, config: Mapping[str, Any]) -> GenerationConfig | None:
    """The settings of generation of a model; None if it is not said which tokens start and end.

    Settings that are not known here are left out, with a warning.

    Args:
        folder: the model's; older ones have no generation_config.json.
        config: the content of its config.json, which then says it.

    Raises:
        InputError: the file is damaged, a value is out of its range, or several tokens end a text.
    """
    file = folder / GENERATION_FILE
    raw = {**config, **read_settings(file)} if file.is_file() else dict(config)
    values = {
        key: as_type(kind, raw[key], str(file), key)
        for key, kind in _KINDS.items()
        if raw.get(key) is not None
    }
    start = values.get("decoder_start_token_id", values.get("bos_token_id"))
    end = as_type(int | tuple[int, ...] | None, raw.get("eos_token_id"), str(file), "eos_token_id")
    if isinstance(end, tuple):
        if len(end) != 1:
            raise InputError(f"{file}: eos_token_id names {len(end)} tokens, and may name one")
        (end,) = end
    if start is None or end is None:
        return None
    unknown = [key for key, neutral in _NEUTRAL.items() if raw.get(key, neutral) != neutral]
    beams = values.get("num_beams", 1)
    if beams > 1 and raw.get("early_stopping") is not True:
        unknown.append("early_stopping")  # other than true
    if unknown:
        logger.warning("%s: %s cannot be followed here", file, ", ".join(unknown))
    defaults = GenerationConfig(start, end)
    length = values.get("max_length")  # counts the start, too
    most = values.get("max_new_tokens", length - 1 if length else defaults.max_new_tokens)
    try:
        return GenerationConfig(
            start,
            end,
            pad=values.get("pad_token_id", defaults.pad),
            suppressed=values.get("suppress_tokens", ()),
            max_new_tokens=most,
            beams=beams,
            length_penalty=values.get("length_penalty", defaults.length_penalty),
        )
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def generation_files(config: GenerationConfig | None, *, has_source: bool) -> dict[str, Any]:
    """The content of the file by its name; none if nothing is known of generation.

    With `has_source` the model reads another text first.
    """
    if config is None:
        return {}
    return {
        GENERATION_FILE: {
            "decoder_start_token_id" if has_source else "bos_token_id": config.start,
            "eos_token_id": config.end,
            "pad_token_id": config.pad,
            **({"suppress_tokens": list(config.suppressed)} if config.suppressed else {}),
            "max_new_tokens": config.max_new_tokens,
            **_search(config),
        }
    }


def _search(config: GenerationConfig) -> dict[str, Any]:
    if config.beams == 1:
        return {}  # transformers warns of settings that one beam does not need
    return {
        "num_beams": config.beams,
        "length_penalty": config.length_penalty,
        "early_stopping": True,
    }
