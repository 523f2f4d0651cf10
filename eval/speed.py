"""How fast models run, as ratios measured in one go on the same machine."""

import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from model.tasks import MaskedLM


def median_seconds(
    functions: Mapping[str, Callable[[], object]], *, repeats: int = 20
) -> dict[str, float]:
    """The median time of each function, called by turns so that all meet the same disturbances.

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
    return {name: float(np.median(values)) for name, values in times.items()}


def sentences_per_second(
    models: Mapping[str, MaskedLM], *, sentences: int = 32, length: int = 64
) -> dict[str, float]:
    """Sentences of `length` tokens that each encoder reads in a second, `sentences` at a time."""
    ids = jnp.ones((sentences, length), jnp.int32)

    def runner(model: MaskedLM) -> Callable[[], object]:
        graphdef, params = nnx.split(model.backbone)
        encode = jax.jit(lambda params, ids: nnx.merge(graphdef, params)(ids).last_hidden)
        return lambda: encode(params, ids)

    seconds = median_seconds({name: runner(model) for name, model in models.items()})
    return {name: sentences / value for name, value in seconds.items()}
