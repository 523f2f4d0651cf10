"""Reads and writes models as transformers stores them: `config.json` and `model.safetensors`.

    model = load("runs/distill/model")                      # what its config.json says it is
    model = load("distilbert-base-uncased", MaskedLM, dtype="bfloat16")
    model = load("bert-base-uncased", SequenceClassification, labels=("no", "yes"),
                 init_missing=nnx.Rngs(0))
    save(model, "my-model")

No torch is needed, but for old checkpoints that have only a `pytorch_model.bin`.
"""

import logging
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.backbone import Backbone
from model.bert import Bert
from model.config import Architecture, EncoderConfig
from model.errors import InputError
from model.files import Tensors, find, read_tensors, write_model
from model.hf_config import read_config, task_named, write_config
from model.weight_map import TIED, canonical_name, class_name, is_head, tensor_name

logger = logging.getLogger(__name__)


def load(
    path: str | Path,
    task: type[nnx.Module] | None = None,
    *,
    init_missing: nnx.Rngs | None = None,
    **changes: Any,
) -> Any:
    """A model with the weights of a checkpoint, in float32 whatever they are stored in.

    Every parameter gets a tensor, and every tensor goes to a parameter; only heads that `task` does
    not have are left out. A `Bert` has a pooler if the checkpoint has it.

    Args:
        path: a folder, or a name on the Hugging Face hub, `owner/name` or `owner/name@revision`.
        task: the class to make, of model.tasks or `Bert` or `DistilBert`; by default what the
            checkpoint says it is.
        init_missing: draws the weights of a head (or pooler) that the checkpoint does not have, or
            has for another number of labels, and a warning says so. Without it that is an error.
        changes: fields of `EncoderConfig` to change, such as `dtype` or `labels`.

    Raises:
        InputError: no such checkpoint, it cannot be read, is of another model, or does not fit; all
            tensors that are missing, unknown or of a wrong shape are in the one message.
    """
    config_file, weights = find(path)
    config, names = read_config(config_file)
    config = config.replace(**changes)
    architecture = config.architecture
    task = task or task_named(names, architecture, config_file)
    if class_name(task, architecture) is None:
        raise InputError(f"{path} is a {architecture}, which has no {task.__name__} model")
    tensors, problems = _canonical(read_tensors(weights), architecture)
    pooler = {"pooler": "bert.pooler.dense.weight" in tensors} if task is Bert else {}

    def build(rngs: nnx.Rngs) -> nnx.Module:
        return task(config, rngs=rngs, **pooler)

    # The structure without values: drawing 110M random numbers to drop them would take seconds.
    graphdef, abstract = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    parameters = {
        tensor_name(place, task, architecture): (place, param.shape)
        for place, param in nnx.to_flat_state(abstract)
    }
    values, drawn = {}, []
    for name, (place, shape) in parameters.items():
        tensor = tensors.get(name)
        array = None if tensor is None else _transposed(place, tensor)
        if array is not None and array.shape == shape:
            values[place] = jnp.asarray(array, jnp.float32)
        elif init_missing is not None and is_head(name, architecture):
            drawn.append(name)
        elif array is not None:
            problems.append(f"{name} has shape {array.shape} and not {shape}")
        elif is_head(name, architecture):
            problems.append(f"{name} is missing (init_missing would draw it)")
        else:
            problems.append(f"{name} is missing")
    problems += [
        f"{name} is unknown"
        for name in tensors
        if name not in parameters and not is_head(name, architecture)
    ]
    if problems:
        raise InputError(
            f"{path} does not fit {task.__name__} ({architecture} with {config.num_layers} layers, "
            f"{config.hidden_size} wide): {'; '.join(problems)}"
        )
    if drawn and init_missing is not None:
        fresh = dict(nnx.to_flat_state(nnx.state(build(init_missing))))
        values |= {place: fresh[place][...] for place, _ in map(parameters.__getitem__, drawn)}
        logger.warning("%s lacks %s: drawn at random, to be trained", path, ", ".join(drawn))
    state = nnx.from_flat_state({place: nnx.Param(value) for place, value in values.items()})
    return nnx.merge(graphdef, state)


def save(
    model: nnx.Module, path: str | Path, *, dtype: Literal["float32", "float16"] = "float32"
) -> None:
    """Writes a folder that transformers (and `load`) reads; other files in it stay as they are.

    As transformers does, tensors that are tied to another are left out. `dtype` is what weights are
    stored in: float16 halves the file and costs up to 0.05 % of a weight.

    Raises:
        InputError: transformers has no such model, or the folder cannot be written (a full disk, no
            permission): then nothing is left of the attempt.
    """
    config: EncoderConfig = model.config  # type: ignore[attr-defined]
    task = type(model)
    tensors = {
        tensor_name(place, task, config.architecture): np.ascontiguousarray(
            _transposed(place, np.asarray(param[...], dtype))
        )
        for place, param in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    if issubclass(task, Backbone):  # transformers gives a bare encoder no prefix
        tensors = {
            name.removeprefix(f"{config.architecture}."): tensor for name, tensor in tensors.items()
        }
    write_model(Path(path).expanduser(), write_config(config, task, dtype), tensors)


def _transposed(place: tuple[str | int, ...], array: np.ndarray) -> np.ndarray:
    """A parameter as the other side stores it: PyTorch's dense layers are [out, in]."""
    return array.T if place[-1] == "kernel" else array


def _canonical(tensors: Tensors, architecture: Architecture) -> tuple[Tensors, list[str]]:
    """The tensors by today's names, each once, and what is wrong with them."""
    result: Tensors = {}
    problems = []
    for stored, tensor in tensors.items():
        name = canonical_name(stored, architecture)
        if name is None:
            continue
        if name in result:
            problems.append(f"{name} is there twice, once as {stored}")
        if not np.issubdtype(tensor.dtype, np.floating) and tensor.dtype.name != "bfloat16":
            problems.append(f"{name} holds {tensor.dtype.name} and not floating-point numbers")
        result[name] = tensor
    for copy, name in TIED[architecture].items():
        if copy in result:
            tensor = result.pop(copy)
            if not np.array_equal(result.setdefault(name, tensor), tensor):
                problems.append(f"{copy} differs from {name}, to which it is tied here")
    return result, problems
