"""Attention heads of a student matched with those of its teacher, by their maps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment

from model.tasks import MaskedLM
from train.command.signals import heeding
from train.loop.heldout import HeldOut

ENTRIES = 2**25
"""Numbers in the maps of both models that are in memory together: 128 MB."""
SEQUENCES = 64
"""Sequences whose maps are compared, at most."""


@dataclass(frozen=True)
class HeadMatching:
    """Each head of the student with one of the teacher, none of which serves twice."""

    affinity: Float64[np.ndarray, "ours theirs"]
    """Of every pair, heads counted through all layers."""
    pairs: tuple[tuple[int, int], ...]
    """Those whose sum of affinities is the largest; all heads of the model with fewer."""

    @property
    def mean(self) -> float:
        """The mean affinity of the pairs."""
        return float(np.mean([self.affinity[pair] for pair in self.pairs]))


def match_heads(affinity: Float64[np.ndarray, "ours theirs"]) -> HeadMatching:
    """The best assignment, one to one (Kuhn 1955)."""
    ours, theirs = linear_sum_assignment(affinity, maximize=True)
    return HeadMatching(affinity, tuple(zip(ours.tolist(), theirs.tolist(), strict=True)))


def head_affinities(
    heldout: HeldOut, student: MaskedLM, teacher: MaskedLM
) -> tuple[Float64[np.ndarray, "ours theirs"], Float64[np.ndarray, "ours theirs"]]:
    """The affinity of every pair of heads, and the same with another sequence's teacher maps.

    The affinity of two distributions is sum sqrt(p q) (Bhattacharyya 1943), 1 if they are equal and
    0 if they share no token; it is averaged over all tokens that attend. What two models attend to
    in different texts is alike as far as it is position alone: that is the second table.
    """
    models = (student, teacher)
    structures, params = zip(*(nnx.split(model.backbone) for model in models), strict=True)

    @jax.jit
    def read(params: Any, ids: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        roots = []
        for structure, each in zip(structures, params, strict=True):
            maps = nnx.merge(structure, each)(ids, mask, outputs=("attentions",)).attentions
            maps = jnp.sqrt(jnp.concatenate(maps, axis=1))  # [rows, heads of all layers, q, k]
            roots.append(jnp.where(mask[:, None, :, None], maps, 0))
        ours, theirs = roots
        own = jnp.einsum("bsqk,btqk->st", ours, theirs)
        return own, jnp.einsum("bsqk,btqk->st", ours, jnp.roll(theirs, 1, axis=0))

    sums: list[Any] = [0.0, 0.0]
    counts = np.zeros(2)
    for ids, mask in _batches(
        heldout, sum(m.config.num_layers * m.config.num_heads for m in models)
    ):
        made = jax.device_get(heeding(read)(params, ids, mask))
        sums = [total + each.astype(np.float64) for total, each in zip(sums, made, strict=True)]
        counts += mask.sum(), np.minimum(mask.sum(axis=1), np.roll(mask.sum(axis=1), 1)).sum()
    return sums[0] / counts[0], sums[1] / counts[1]


def _batches(heldout: HeldOut, heads: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sequences, as many at a time as there is memory for their maps, and two at least."""
    done = 0
    for batch in heldout.batches():
        ids, mask = batch["input_ids"], batch["attention_mask"]
        rows = min(max(ENTRIES // (heads * ids.shape[1] ** 2), 2), len(ids))
        for start in range(0, len(ids) - rows + 1, rows):
            part = slice(start, start + rows)
            if done < SEQUENCES and mask[part].any(axis=1).all():
                yield ids[part], mask[part]
                done += rows
