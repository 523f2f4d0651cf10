"""A student, a teacher and a batch small enough for every test."""

import jax
import numpy as np
from flax import nnx

from data.masking import MaskingConfig
from model.config import EncoderConfig
from model.tasks import MaskedLM

VOCAB = 48
MASK_ID = 4
LENGTH = 16
GROUP_ROWS = 2

TEACHER = EncoderConfig(
    vocab_size=VOCAB,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=32,
    max_positions=LENGTH,
    initializer_range=0.3,
    hidden_dropout=0.0,
    attention_dropout=0.0,
)
STUDENT = TEACHER.distilled(num_layers=1)
MASKING = MaskingConfig(group_rows=GROUP_ROWS)


def model(config: EncoderConfig = STUDENT, seed: int = 0) -> MaskedLM:
    return MaskedLM(config, rngs=nnx.Rngs(seed))


def logits(model: MaskedLM, ids) -> jax.Array:
    made = model(ids).logits
    assert made is not None
    return made


def log_weights() -> np.ndarray:
    weights = np.zeros(VOCAB, np.float32)
    weights[:5] = -np.inf
    return weights


def batch(rows: int = 16, micro_batches: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows of very different lengths, so that groups hold different numbers of predictions."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, LENGTH + 1, rows)
    attended = np.arange(LENGTH) < lengths[:, None]
    ids = np.where(attended, rng.integers(5, VOCAB, (rows, LENGTH)), 0)
    flat = {
        "input_ids": ids.astype(np.int32),
        "attention_mask": attended,
        "row": np.arange(rows, dtype=np.int32),
    }
    return {
        name: array.reshape(micro_batches, rows // micro_batches, *array.shape[1:])
        for name, array in flat.items()
    }


def difference(a, b) -> float:
    """The norm of the difference of two trees over the norm of the second, all leaves together.

    Not leaf by leaf: the gradient of a key's bias is zero (a softmax does not see what all scores
    share), so all that it holds is rounding.
    """
    delta, size = (
        np.sqrt(sum(np.sum(np.square(leaf, dtype=np.float64)) for leaf in jax.tree.leaves(tree)))
        for tree in (jax.tree.map(np.subtract, a, b), b)
    )
    return float(delta / size)


def change(function, at, along, step):
    """The change of a function of trees in a direction, by central differences."""

    def moved(by):
        return function(jax.tree.map(lambda leaf, of: leaf + by * of, at, along))

    return jax.tree.map(lambda a, b: (a - b) / (2 * step), moved(step), moved(-step))
