"""Outputs of a program of ONNX beside those of the model that it was made of."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from eval.export.programs import GROUPED
from eval.export.runtime import OnnxModel
from model.output import ModelOutput
from model.tasks import DocumentClassification

ROWS, GROUP, TOKENS = 3, 2, 64
"""Texts of random tokens that both read; the choices or windows of each, and its tokens."""


class Discrepancy(NamedTuple):
    """The outputs of a program beside those of the model."""

    largest: float
    """Of all differences, without their signs."""
    scale: float
    """The largest number of the model's, without its sign."""


def compare_program(model: Any, file: Path) -> Discrepancy:
    """The largest difference of all outputs of a program from those of its model.

    Args:
        model: the model, or the encoder of one that writes.
        file: the program, which reads texts.

    Raises:
        InputError: as `OnnxModel`.
    """
    config, random = model.config, np.random.default_rng(0)
    group = (GROUP,) if type(model) in GROUPED else ()
    if isinstance(model, DocumentClassification):
        group = (min(GROUP, model.windows.position.num_embeddings),)
    shape = (ROWS, *group, min(TOKENS, config.max_positions))
    lengths = random.integers(1, shape[-1] + 1, (*shape[:-1], 1))
    lengths[0] = shape[-1]
    given = [random.integers(0, config.vocab_size, shape), np.arange(shape[-1]) < lengths]
    if config.type_vocab_size:
        given.append(random.integers(0, config.type_vocab_size, shape))
    # Token ids are int32 in JAX, and a mask is one of truth values.
    arrays = [jnp.asarray(a, a.dtype if a.dtype == bool else jnp.int32) for a in given]
    theirs = _numbers(OnnxModel(file, config, type(model))(*given))
    ours = _numbers(_read(model, *arrays))
    both = [(ours[name], array) for name, array in theirs.items() if array.size]
    return Discrepancy(
        max(float(np.max(np.abs(a - b))) for a, b in both),
        max(float(np.max(np.abs(a))) for a, _ in both),
    )


@jax.jit
def _read(model: nnx.Module, *arrays: Any) -> ModelOutput:
    return model(*arrays)  # type: ignore[operator]


def _numbers(output: ModelOutput) -> dict[str, np.ndarray]:
    values = {name: getattr(output, name) for name in ModelOutput.__dataclass_fields__}
    return {name: np.asarray(value) for name, value in values.items() if value is not None}
