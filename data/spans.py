"""Long texts as overlapping spans of tokens, and which of them sees most around a token."""

import numpy as np
from jaxtyping import Int

Span = tuple[int, int]


def spans(tokens: int, room: int, step: int) -> list[Span]:
    """A span of `room` tokens every `step`, until one reaches the end.

    As in BERT's `run_squad.py`. A step above `room` would leave tokens out: it is then `room`.

    Returns:
        Where each span starts and ends; the one span (0, 0) for no tokens at all.
    """
    step = min(step, room)
    count = 1 + max(0, -(-(tokens - room) // step))
    return [(start, min(start + room, tokens)) for start in range(0, count * step, step)]


def most_context(tokens: int, parts: list[Span]) -> Int[np.ndarray, " tokens"]:
    """For each token the span that holds it with most tokens on the side where it has fewer.

    Among equals the earlier, as in BERT's `run_squad.py`.
    """
    place = np.arange(tokens)
    start, end = np.array(parts).T[..., None]
    fewer = np.minimum(place - start, end - 1 - place)
    return fewer.argmax(0)
