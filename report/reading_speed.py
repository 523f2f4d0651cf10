"""How many sentences a second BERT and DistilBERT read."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.errors import InputError
from model.pretrained import save

TORCH = "torch: "


def check_lengths(lengths: Sequence[int], positions: int) -> None:
    """Raises InputError for a --sequence-length that models of so many positions cannot read."""
    for length in lengths:
        if not 1 <= length <= positions:
            raise InputError(
                f"--sequence-length is {length}: the models read 1 to {positions} tokens"
            )


def encoder(backbone: nnx.Module) -> tuple[Any, Any]:
    """The encoder as `encode(params, ids)`, under jit, and its parameters."""
    graphdef, params = nnx.split(backbone)
    return jax.jit(lambda params, ids: nnx.merge(graphdef, params)(ids).last_hidden), params


def reader(backbone: nnx.Module, sentences: int, length: int) -> Callable[[], object]:
    """A function that encodes so many sentences of `length` tokens."""
    encode, params = encoder(backbone)
    ids = jnp.ones((sentences, length), jnp.int32)
    return lambda: encode(params, ids)


def torch_reader(folder: Path, sentences: int, length: int) -> Callable[[], object]:
    """The same with transformers' model in a folder."""
    import torch
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    model.eval()
    ids = torch.ones((sentences, length), dtype=torch.long)

    def read() -> float:
        with torch.inference_mode():
            return float(model(ids).last_hidden_state[0, 0, 0])

    return read


def sentences_per_second(
    backbones: Mapping[str, nnx.Module],
    *,
    sentences: int,
    length: int,
    repeats: int,
    torch: bool = False,
) -> dict[str, float]:
    """Sentences of `length` tokens that each encoder reads in a second, `sentences` at a time.

    With `torch` transformers' models of the same weights take their turns, under "torch: NAME".
    """
    with tempfile.TemporaryDirectory() as folder:
        readers = {name: reader(model, sentences, length) for name, model in backbones.items()}
        if torch:
            for name, model in backbones.items():
                save(model, Path(folder, name))
                readers[TORCH + name] = torch_reader(Path(folder, name), sentences, length)
        seconds = seconds_by_turns(readers, repeats=repeats)
    return {name: sentences / float(np.median(values)) for name, values in seconds.items()}


def sizes(backbone: nnx.Module) -> dict[str, int]:
    """Parameters, and bytes of the file in float32."""
    parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(backbone, nnx.Param)))
    with tempfile.TemporaryDirectory() as folder:
        save(backbone, folder)
        return {
            "parameters": parameters,
            "bytes": Path(folder, "model.safetensors").stat().st_size,
        }


def measure(
    backbones: Mapping[str, nnx.Module],
    *,
    batches: tuple[int, ...],
    lengths: tuple[int, ...],
    repeats: int,
    torch: bool = False,
) -> dict[str, Any]:
    """Sizes, and sentences a second for each number of sentences and each length.

    The larger model comes first: the other is compared with it.
    """
    speeds = [
        {
            "batch": batch,
            "length": length,
            "sentences_per_second": sentences_per_second(
                backbones, sentences=batch, length=length, repeats=repeats, torch=torch
            ),
        }
        for length in lengths
        for batch in batches
    ]
    return {"sizes": {name: sizes(model) for name, model in backbones.items()}, "speeds": speeds}


def seconds_by_turns(
    functions: Mapping[str, Callable[[], object]], *, repeats: int
) -> dict[str, list[float]]:
    """The times of each function, called by turns so that all meet the same disturbances.

    Each is called once before, to compile.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(time.perf_counter() - start)
    return times
