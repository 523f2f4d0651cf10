"""Debiased linear CKA: how alike two representations of the same tokens are, up to a rotation.

Kornblith et al. 2019 (section 3), with the unbiased estimator of HSIC by Song et al. 2012 in place
of the biased one, which is far above zero for unrelated representations as wide as there are
tokens (Murphy et al. 2024).
"""

import numpy as np
from jaxtyping import Float, Float64

from eval.fidelity.states import FIXED_SEED

Features = Float[np.ndarray, "tokens _"]
LayerFeatures = Float[np.ndarray, "_ tokens _"]
CKATable = Float64[np.ndarray, "ours theirs"]


def unbiased_hsic(x: Features, y: Features) -> float:
    """HSIC of linear kernels (Song et al. 2012, equation 5), from features and not from kernels.

    With K = x x^T and L = y y^T without their diagonals and n tokens,
    (tr(K L) + 1K1 1L1 / ((n - 1)(n - 2)) - 2 1KL1 / (n - 2)) / (n (n - 3)).
    """
    return _hsic_of_centred(_centred_features(x), _centred_features(y))


def debiased_cka(x: Features, y: Features) -> float:
    """Debiased linear CKA; 1 for equal representations, about 0 for unrelated ones.

    It may fall slightly below 0. NaN where a representation does not vary.
    """
    return float(cka_table(x[None], y[None])[0, 0])


def cka_table(ours: LayerFeatures, theirs: LayerFeatures) -> CKATable:
    """The debiased CKA of each layer of one model with each of another; the embeddings are 0."""
    sides = [[_centred_features(layer) for layer in layers] for layers in (ours, theirs)]
    own = [np.array([_hsic_of_centred(x, x) for x in side]) for side in sides]
    both = np.array([[_hsic_of_centred(x, y) for y in sides[1]] for x in sides[0]])
    scale = np.multiply.outer(*own)
    return np.where(scale > 0, both / np.sqrt(np.where(scale > 0, scale, 1)), np.nan)


def _centred_features(x: Features) -> Features:
    # HSIC of centred features is the same number, with fewer rounding errors.
    return x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)


def _hsic_of_centred(x: Features, y: Features) -> float:
    n = len(x)
    # Kernels of centred features have rows that add up to 0: without the diagonal, to minus that.
    squares = [np.einsum("nd,nd->n", each, each) for each in (x, y)]
    trace = np.sum((x.T @ y) ** 2) - squares[0] @ squares[1]
    ones = squares[0].sum() * squares[1].sum() / ((n - 1) * (n - 2))
    return (trace + ones - 2 * (squares[0] @ squares[1]) / (n - 2)) / (n * (n - 3))


def shuffled(states: LayerFeatures) -> LayerFeatures:
    """The same with the tokens in another order: what is left of CKA is chance."""
    return states[:, np.random.default_rng(FIXED_SEED).permutation(states.shape[1])]
