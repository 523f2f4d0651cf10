"""The parameters of one model to and from the tensors of a checkpoint."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.backbone import Backbone
from model.bert import Bert
from model.config import Architecture
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.hf.files import Tensors
from model.hf.weight_map import (
    MODEL_CLASSES,
    TIED,
    canonical_name,
    class_name,
    is_head,
    tensor_name,
    wrapping_prefix,
)
from model.tasks import Embedder, LanguageModel

logger = logging.getLogger(__name__)


def load_part(
    checkpoint: Checkpoint,
    kind: type[Any],
    tensors: Tensors,
    changes: Mapping[str, Any],
    init_missing: nnx.Rngs | None = None,
    **options: Any,
) -> Any:
    """A model of one part, with `options` of its class, from these tensors of a checkpoint."""
    source, config = checkpoint.name, checkpoint.config.replace(**changes)
    architecture = config.architecture
    if class_name(kind, architecture) is None:
        raise InputError(f"{source} is a {architecture}, which has no {kind.__name__} model")
    tensors, problems = _canonical(tensors, kind, architecture)
    if kind is Bert:
        options = {"pooler": "bert.pooler.dense.weight" in tensors}
    build = partial(kind, config, **options)

    # The structure without values: drawing 110M random numbers to drop them would take seconds.
    graphdef, abstract = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))
    parameters = dict(nnx.to_flat_state(abstract))
    places = {tensor_name(place, kind, architecture): place for place in parameters}
    values, lacking, headless = {}, [], []
    for name, place in places.items():
        shape = parameters[place].shape
        shape = shape[::-1] if place[-1] == "kernel" else shape
        if name in tensors and tensors[name].shape == shape:
            if not np.isfinite(tensors[name]).all():
                problems.append(f"{name} has values that are not finite")
            values[place] = jnp.asarray(_transposed(place, tensors[name]), jnp.float32)
        elif init_missing is not None and is_head(name, architecture):
            lacking.append(name)
        elif name in tensors:
            problems.append(f"{name} has shape {tensors[name].shape} and not {shape}")
        elif is_head(name, architecture):
            headless.append(name)
        else:
            problems.append(f"{name} is missing")
    unknown = [name for name in tensors if name not in places and not is_head(name, architecture)]
    inside = [name for name in unknown if name.split(".")[0] in MODEL_CLASSES]
    problems = [*_few(problems), *_few([f"{name} is unknown" for name in inside])]
    if headless and not problems:
        raise InputError(
            f"{source} ({' and '.join(checkpoint.classes) or 'a bare encoder'}) has no head of a "
            f"{kind.__name__}: it lacks {', '.join(_few(headless))}; name a model with that head"
        )
    problems += [f"{name} is missing" for name in _few(headless)]
    if problems:
        raise InputError(
            f"{source} does not fit {kind.__name__} ({architecture} with {config.num_layers} "
            f"layers, {config.hidden_size} wide): {'; '.join(problems)}"
        )
    if beside := [name for name in unknown if name not in inside]:
        named = ", ".join(_few(beside))
        logger.warning("%s holds tensors of no known head, which are not used: %s", source, named)
    if init_missing is not None and lacking:
        drawn = dict(nnx.to_flat_state(nnx.state(build(rngs=init_missing))))
        values |= {places[name]: drawn[places[name]][...] for name in lacking}
        logger.warning("%s lacks %s: drawn at random, to be trained", source, ", ".join(lacking))
    state = nnx.from_flat_state({place: nnx.Param(value) for place, value in values.items()})
    return nnx.merge(graphdef, state)


def tensors_of(model: nnx.Module, dtype: str) -> Tensors:
    """The parameters of a model as transformers names and stores them."""
    architecture, kind = model.config.architecture, type(model)  # type: ignore[attr-defined]
    # Only a bare encoder has no prefix in transformers.
    prefix = f"{architecture}." if issubclass(kind, Backbone | Embedder) else ""
    return {
        tensor_name(place, kind, architecture).removeprefix(prefix): np.ascontiguousarray(
            _transposed(place, np.asarray(param[...], dtype))
        )
        for place, param in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }


def _few(items: list[str], most: int = 6) -> list[str]:
    """The first items, and how many more there are."""
    return items[:most] + ([f"and {len(items) - most} more"] if len(items) > most else [])


def _transposed(place: tuple[Any, ...], array: np.ndarray) -> np.ndarray:
    """A parameter as the other side stores it: PyTorch's dense layers are [out, in]."""
    return array.T if place[-1] == "kernel" else array


def _canonical(
    tensors: Tensors, kind: type[Any], architecture: Architecture
) -> tuple[Tensors, list[str]]:
    """The tensors by today's names, each once, and what is wrong with them for a model."""
    result: Tensors = {}
    problems = []
    prefix = wrapping_prefix(tensors, architecture)
    for stored, tensor in tensors.items():
        name = canonical_name(stored.removeprefix(prefix), architecture)
        if name is None:
            continue
        if name in result:
            problems.append(f"{name} is there twice, once as {stored}")
        if not jnp.issubdtype(tensor.dtype, jnp.floating):
            problems.append(f"{name} holds {tensor.dtype} and not floating-point numbers")
        result[name] = tensor
    for copy, name in TIED[architecture].items():
        if copy in result:
            tensor = result.pop(copy)
            same = np.array_equal(result.setdefault(name, tensor), tensor, equal_nan=True)
            if issubclass(kind, LanguageModel) and not same:
                problems.append(f"{copy} differs from {name}, to which it is tied here")
    return result, problems
