"""Log-probabilities of the tokens of texts, in nats, summed over each window.

A masked LM has a probability for a token given all others, a decoder one given those before it.
Only the latter multiply to the probability of a text.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float64, Int

from data.clock import seconds_since
from data.masking import mask_tokens, token_log_weights
from data.vocabulary import SpecialIds
from eval.likelihood.texts import ReadingWindow
from model.decoder.causal_lm import CausalLM
from model.losses import cross_entropy
from model.tasks import MaskedLM
from model.terminal import say
from tasks.buckets import bucket_lengths
from train.command.signals import stop_if_asked
from train.loop.heldout import MASK_SEED, MASKING
from train.objectives.forward import gather_positions

HiddenPart = Literal["token", "word"]
SumsByWindow = Float64[np.ndarray, " windows"]
SameLength = tuple[Int[np.ndarray, " rows"], int]
"""Indices of at most so many as are read at a time, and the length that they are padded to."""
_SECONDS_BETWEEN_LINES = 10.0  # seconds between lines of progress


def pseudo_log_likelihood(
    model: MaskedLM,
    windows: Sequence[ReadingWindow],
    special: SpecialIds,
    *,
    hidden: HiddenPart,
    rows: int,
) -> SumsByWindow:
    """The log-probabilities of tokens that are masked one at a time (Salazar et al. 2020).

    With `hidden` "word" the later pieces of the token's word are masked, too (Kauf and Ivanova
    2023): from the end of a long word its beginning is easily guessed.
    """
    structure, params = nnx.split(model)

    @jax.jit
    def score(params: Any, ids: Any, attended: Any, at: Any, labels: Any) -> Any:
        model = nnx.merge(structure, params)
        states = model.backbone(ids, attended).last_hidden[jnp.arange(len(at)), at]
        return -cross_entropy(model.predict_tokens(states), labels)

    asked = [(w, at) for w, window in enumerate(windows) for at in np.flatnonzero(window.counted)]
    lengths = np.asarray([len(windows[w].ids) for w, _ in asked])
    total = np.zeros(len(windows))
    for part, length in _with_progress(_batches(lengths, rows), len(asked), "tokens"):
        ids = np.full((rows, length), special.pad, np.int32)
        attended = np.zeros((rows, length), bool)
        places, labels = np.zeros((2, rows), np.int32)
        for row, (number, at) in enumerate(asked[index] for index in part):
            window = windows[number]
            size, places[row], labels[row] = len(window.ids), at, window.ids[at]
            rest = (window.words == window.words[at]) & (np.arange(size) >= at)
            unseen = rest if hidden == "word" else np.arange(size) == at
            ids[row, :size] = np.where(unseen, special.mask, window.ids)
            attended[row, :size] = True
        found = np.asarray(score(params, ids, attended, places, labels), np.float64)
        np.add.at(total, [asked[index][0] for index in part], found[: len(part)])
    return total


def log_likelihood(
    model: CausalLM, windows: Sequence[ReadingWindow], special: SpecialIds, *, rows: int
) -> SumsByWindow:
    """The log-probabilities of tokens given those before them."""
    structure, params = nnx.split(model)

    @jax.jit
    def score(params: Any, ids: Any, attended: Any, counted: Any) -> Any:
        model = nnx.merge(structure, params)
        states = model.backbone(ids, attended).last_hidden[:, :-1]

        def of_row(row: Any) -> Any:  # the scores of all rows at a time would fill the memory
            states, labels, where = row
            return -jnp.sum(
                jnp.where(where, cross_entropy(model.predict_tokens(states), labels), 0)
            )

        return jax.lax.map(of_row, (states, ids[:, 1:], counted[:, 1:]))

    lengths = np.asarray([len(window.ids) for window in windows])
    total = np.zeros(len(windows))
    for part, length in _with_progress(_batches(lengths, rows), len(windows), "windows"):
        batch = _padded([windows[index] for index in part], rows, length, special.pad)
        total[part] = np.asarray(score(params, *batch), np.float64)[: len(part)]
    return total


def masked_log_likelihood(
    model: MaskedLM, windows: Sequence[ReadingWindow], special: SpecialIds, *, rows: int
) -> tuple[SumsByWindow, SumsByWindow]:
    """The log-probabilities of 15 % of the tokens, masked together as in training; and how many.

    Masks are uniform and always the same, as those of `train.loop.heldout`.
    """
    structure, params = nnx.split(model)
    vocabulary = np.zeros(model.config.vocab_size, np.int64)
    weights = jnp.asarray(token_log_weights(vocabulary, special, smoothing=0.0))

    @jax.jit
    def score(params: Any, ids: Any, attended: Any, numbers: Any) -> Any:
        model = nnx.merge(structure, params)
        key = jax.random.key(MASK_SEED, impl="threefry2x32")
        masked = mask_tokens(
            key, ids, attended, numbers, weights, config=MASKING, mask_id=special.mask
        )
        states = model.backbone(masked.input_ids, attended).last_hidden
        logits = model.predict_tokens(gather_positions(states, masked.positions))
        losses = jnp.where(masked.valid, cross_entropy(logits, masked.labels), 0)
        return -jnp.sum(losses, axis=1), jnp.sum(masked.valid, axis=1)

    length = max(len(window.ids) for window in windows)  # the masks depend on it
    total, count = np.zeros((2, len(windows)))
    for start in range(0, len(windows), rows):
        here = windows[start : start + rows]
        part = np.arange(start, start + len(here))
        ids, attended, _ = _padded(here, rows, length, special.pad)
        numbers = np.resize(part, rows).astype(np.int32)
        stop_if_asked()
        sums, counts = score(params, ids, attended, numbers)
        total[part], count[part] = (np.asarray(each)[: len(part)] for each in (sums, counts))
    return total, count


def _batches(lengths: Int[np.ndarray, " all"], rows: int) -> Iterator[SameLength]:
    """All indices, those of like lengths together, in batches of few lengths."""
    buckets = bucket_lengths(lengths)
    bucket = np.searchsorted(buckets, lengths)
    for number, length in enumerate(buckets):
        own = np.flatnonzero(bucket == number)
        for start in range(0, len(own), rows):
            yield own[start : start + rows], length


def _padded(
    windows: Sequence[ReadingWindow], rows: int, length: int, pad: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, and where there are tokens and tokens that count; all [rows, length]."""
    ids = np.full((rows, length), pad, np.int32)
    attended, counted = np.zeros((2, rows, length), bool)
    for row, window in enumerate(windows):
        size = len(window.ids)
        ids[row, :size], attended[row, :size], counted[row, :size] = (
            window.ids,
            True,
            window.counted,
        )
    return ids, attended, counted


def _with_progress(batches: Iterable[SameLength], count: int, noun: str) -> Iterator[SameLength]:
    """The batches, with lines on stderr for those who wait; a signal is heard before each."""
    printed, done = time.perf_counter(), 0
    for batch in batches:
        stop_if_asked()
        if seconds_since(printed) > _SECONDS_BETWEEN_LINES:
            printed = time.perf_counter()
            say(f"read {done:,} of {count:,} {noun}", error=True)
        yield batch
        done += len(batch[0])
