"""A classifier of documents beside its encoder: what of it transformers has no name for."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.hf.files import DOCUMENT_FILE, Tensors, read_tensors
from model.hf.tensors import load_part
from model.hf.weight_map import ENCODERS
from model.student import copy_parameters
from model.tasks import DocumentClassification

_POSITIONS = "windows.position.embedding"
_LAYERS = "windows.encoder.layers."


def document_tensors(model: DocumentClassification, dtype: str) -> Tensors:
    """The parameters behind the encoder, by their path here."""
    return {
        name: np.ascontiguousarray(np.asarray(param[...], dtype))
        for name, param in _behind_encoder(model).items()
    }


def load_documents(checkpoint: Checkpoint, changes: Mapping[str, Any]) -> DocumentClassification:
    """The model of a folder with `DOCUMENT_FILE`.

    Raises:
        InputError: it is missing, or does not fit the encoder beside it.
    """
    path = checkpoint.folder / DOCUMENT_FILE
    if not path.is_file():
        raise InputError(f"{checkpoint.name} reads no documents: it has no {DOCUMENT_FILE}")
    config, stored = checkpoint.config.replace(**changes), read_tensors(path)
    layers = {name.removeprefix(_LAYERS).split(".")[0] for name in stored if _LAYERS in name}
    windows = len(stored.get(_POSITIONS, ()))
    model = DocumentClassification(
        config, windows=max(windows, 1), layers=max(len(layers), 1), rngs=nnx.Rngs(0)
    )
    wanted = _behind_encoder(model)
    for name in sorted(wanted.keys() | stored.keys()):
        shapes = [side[name].shape if name in side else None for side in (wanted, stored)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{path} does not fit the encoder: {name} should have the shape {shapes[0]}, and "
                f"has {shapes[1]}"
            )
        if not np.isfinite(stored[name]).all():
            raise InputError(f"{path}: {name} has values that are not finite")
        wanted[name][...] = jnp.asarray(stored[name], jnp.float32)
    encoder = ENCODERS[config.architecture]
    found = load_part(checkpoint, encoder, checkpoint.read_tensors(), changes)
    for part in ("embeddings", "encoder"):
        copy_parameters(getattr(found, part), getattr(model.backbone, part))
    return model


def _behind_encoder(model: DocumentClassification) -> dict[str, nnx.Param]:
    return {
        ".".join(map(str, place)): param
        for place, param in nnx.to_flat_state(nnx.state(model, nnx.Param))
        if place[0] != "backbone"
    }
