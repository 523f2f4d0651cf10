"""Reads and writes models as transformers stores them: `config.json` and `model.safetensors`.

    model = load("runs/distill/model")                      # what its config.json says it is
    model = load("distilbert-base-uncased", MaskedLM, dtype="bfloat16")
    model = load("bert-base-uncased", SequenceClassification, labels=("no", "yes"),
                 init_missing=nnx.Rngs(0))
    save(model, "my-model")

No torch is needed, but for old checkpoints that have only a `pytorch_model.bin`.
"""

import logging
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.backbone import Backbone
from model.bert import Bert
from model.config import Architecture, EncoderConfig
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.hf.config import write_config
from model.hf.files import Tensors, write_model
from model.hf.sentence_transformers import embedder_files
from model.hf.weight_map import (
    ENCODERS,
    MODEL_CLASSES,
    TIED,
    canonical_name,
    class_name,
    is_head,
    tensor_name,
    wrapping_prefix,
)
from model.tasks import Embedder, MaskedLM

Model = TypeVar("Model", bound=nnx.Module)

logger = logging.getLogger(__name__)


def load(
    checkpoint: str | Path | Checkpoint,
    task: type[Model] | None = None,
    *,
    init_missing: nnx.Rngs | None = None,
    **changes: Any,
) -> Model:
    """A model with the weights of a checkpoint, in float32 whatever they are stored in.

    Every parameter gets a tensor, and every tensor of the encoder goes to a parameter. Heads that
    `task` does not have are left out, and other tensors beside the encoder too, with a warning. A
    `Bert` has a pooler if the checkpoint has one. An `Embedder` pools as the checkpoint's files of
    sentence-transformers say, and by the mean, with a warning, if there are none.

    Args:
        checkpoint: an open one, a folder, or a name on the Hugging Face hub, `owner/name` or
            `owner/name@revision`.
        task: the class to make, of model.tasks or `Bert` or `DistilBert`; by default what the
            checkpoint says it is.
        init_missing: draws the weights of a head (or pooler) that the checkpoint does not have, or
            has for another number of labels, and a warning says so. Without it that is an error.
        changes: fields of `EncoderConfig` to change, such as `dtype` or `labels`.

    Raises:
        InputError: no such checkpoint, it cannot be read, is of another model, or does not fit;
            the message names tensors that are missing, unknown, of a wrong shape or not finite.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = open_checkpoint(checkpoint)
    source, config = checkpoint.name, checkpoint.config.replace(**changes)
    architecture = config.architecture
    kind: type[Any] = task or checkpoint.model_class()
    if kind is Embedder:
        encoder = load(checkpoint, ENCODERS[architecture], init_missing=init_missing, **changes)
        return Embedder(encoder, **checkpoint.read_embedder()._asdict())  # type: ignore[return-value]
    if class_name(kind, architecture) is None:
        raise InputError(f"{source} is a {architecture}, which has no {kind.__name__} model")
    tensors, problems = _canonical(checkpoint.read_tensors(), kind, architecture)
    pooler = {"pooler": "bert.pooler.dense.weight" in tensors} if kind is Bert else {}
    build = partial(kind, config, **pooler)

    # The structure without values: drawing 110M random numbers to drop them would take seconds.
    graphdef, abstract = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))
    parameters = dict(nnx.to_flat_state(abstract))
    places = {tensor_name(place, kind, architecture): place for place in parameters}
    values, lacking = {}, []
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
            problems.append(f"{name} is missing (init_missing would draw it)")
        else:
            problems.append(f"{name} is missing")
    unknown = [name for name in tensors if name not in places and not is_head(name, architecture)]
    inside = [name for name in unknown if name.split(".")[0] in MODEL_CLASSES]
    problems = [*_few(problems), *_few([f"{name} is unknown" for name in inside])]
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


def save(
    model: nnx.Module, path: str | Path, *, dtype: Literal["float32", "float16"] = "float32"
) -> None:
    """Writes a folder that transformers (and `load`) reads; other files in it stay as they are.

    As transformers does, tensors that are tied to another are left out. `dtype` is what weights are
    stored in: float16 halves the file and costs up to 0.05 % of a weight. The folder of an
    `Embedder` is one of sentence-transformers, and a bare encoder to transformers.

    Raises:
        InputError: transformers has no such model, or the folder cannot be written (a full disk, no
            permission): then nothing is left of the attempt.
    """
    config: EncoderConfig = model.config  # type: ignore[attr-defined]
    architecture, kind = config.architecture, type(model)
    content = write_config(config, kind, dtype)
    # Only a bare encoder has no prefix in transformers.
    prefix = f"{architecture}." if issubclass(kind, Backbone | Embedder) else ""
    others = embedder_files(model) if isinstance(model, Embedder) else {}
    tensors = {
        tensor_name(place, kind, architecture).removeprefix(prefix): np.ascontiguousarray(
            _transposed(place, np.asarray(param[...], dtype))
        )
        for place, param in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    write_model(Path(path).expanduser(), content, tensors, others)


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
            if issubclass(kind, MaskedLM) and not same:
                problems.append(f"{copy} differs from {name}, to which it is tied here")
    return result, problems
