"""What a model says about every window of a data set, in a few static shapes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

from model.tasks import read_batch
from tasks.buckets import bucket_lengths
from tasks.windows import Windows

Logits = dict[str, list[np.ndarray]]
EVALUATION_ROWS = 64
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def predictor(
    graphdef: nnx.GraphDef,
    windows: Windows,
    *,
    rows: int = EVALUATION_ROWS,
    place: Callable[[dict[str, np.ndarray]], Any] = lambda batch: batch,
) -> Callable[[Any], Logits]:
    """A function from a model's parameters to its logits, in the order of the windows.

    Windows of like lengths are read together. No window is left out: the last rows of a bucket are
    filled up, and what is said about the filling is dropped.

    Args:
        graphdef: the structure of a classifier, tagger or question answerer.
        windows: what it reads.
        rows: so many at a time; a multiple of the devices.
        place: puts a batch onto the devices.

    Returns:
        `logits`, or `start` and `end`: for each window what its own tokens got, without padding.
    """
    lengths = bucket_lengths(windows.lengths)
    bucket = np.searchsorted(lengths, windows.lengths)

    def predict(params: Any) -> Logits:
        result: Logits = {}
        for number, length in enumerate(lengths):
            members = np.flatnonzero(bucket == number)
            for start in range(0, len(members), rows):
                chosen = members[start : start + rows]
                batch = windows.gather(np.resize(chosen, rows), length)
                said = _said(graphdef, params, place({name: batch[name] for name in INPUTS}))
                # Of all rows, also of those that other processes have asked about.
                said = multihost_utils.process_allgather(said, tiled=True)
                for name, array in said.items():
                    column = result.setdefault(name, [np.empty(0)] * len(windows))
                    for window, values in zip(chosen, array, strict=False):
                        by_token = array.ndim == 3 or name != "logits"
                        column[window] = values[: windows.lengths[window]] if by_token else values
        return result

    return predict


@partial(jax.jit, static_argnums=0)  # once for a model, however often it is asked
def _said(graphdef: nnx.GraphDef, params: Any, batch: dict[str, Any]) -> dict[str, jax.Array]:
    output = read_batch(nnx.merge(graphdef, params), batch)
    if output.start_logits is not None and output.end_logits is not None:
        return {"start": output.start_logits, "end": output.end_logits}
    assert output.logits is not None
    return {"logits": output.logits}
