"""The one scale of colours of attention maps, from white for 0 to dark blue for 1.

The square root of a probability is linear in it, so that the small ones of diffuse heads are seen
too. Red alone gives the probability back, which is how the page reads the numbers of its pictures.
"""

import numpy as np
from jaxtyping import Float32, UInt8

DARK = (0, 60, 120)
"""Red, green and blue of probability 1."""
TICKS = (0.0, 0.01, 0.1, 0.25, 0.5, 1.0)


def colours(
    probabilities: Float32[np.ndarray, "rows columns"],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The colour of each probability, as red, green and blue from 0 to 255."""
    level = np.sqrt(np.clip(probabilities, 0, 1))[..., None]
    return np.rint(255 - level * (255 - np.array(DARK))).astype(np.uint8)
