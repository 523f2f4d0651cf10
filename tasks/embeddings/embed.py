"""Vectors of texts: the function for search, linking and `eval.predict --embed`.

model = load("sentence-transformers/all-MiniLM-L6-v2", Embedder)
vocabulary = load_vocabulary("sentence-transformers/all-MiniLM-L6-v2")
vectors = embed(model, vocabulary, ["A plane takes off.", "A cat sleeps."])
cosine = vectors @ vectors.T
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Int

from data.vocabulary import Vocabulary
from model.errors import InputError
from model.tasks import Embedder, read_batch
from tasks.embeddings.encode import as_windows, token_rows
from tasks.model import check_inputs
from tasks.predict import EVALUATION_ROWS, batches_of_like_lengths
from tasks.windows import too_long

SORTED_TOGETHER = 8192
"""Texts that are tokenised and sorted together: memory does not grow with their number."""
BATCH_LENGTHS = (8, 16, 32, 64, 96, 128, 192, 256, 384)
"""The lengths of batches below the longest, in tokens."""
SMALL_BATCHES = (1, 8, 32)
"""Texts that are read together where there are few in all."""

logger = logging.getLogger(__name__)


def embed(
    model: Embedder,
    vocabulary: Vocabulary,
    texts: Sequence[str],
    *,
    prompt: str | None = None,
    max_length: int | None = None,
) -> Float32[np.ndarray, "texts width"]:
    """The vector of each text, in the order of the texts.

    Texts of like lengths are read together, in at most ten static shapes and, where there are few
    of them, thirty others, so that soon nothing is compiled any more; beside the result memory is
    bounded, however many texts there are. A longer text is cut: its first `max_length` - 2 tokens
    are read, as sentence-transformers has it, and a warning in the log counts those. An empty text
    has a vector, too: that of [CLS] and [SEP].

    Args:
        model: from `model.pretrained.load(MODEL, Embedder)`.
        vocabulary: its own, from `data.tokenizer.load_vocabulary`.
        texts: any number.
        prompt: is put before each text, such as "query: "; by default the model's
            `default_prompt`. A model with prompts but without a default must be told which, or ""
            for none.
        max_length: tokens of a text, [CLS] and [SEP] included; by default `model.max_length`, and
            the model's positions where that is None.

    Raises:
        InputError: the vocabulary or `max_length` does not fit the model, it was trained with
            prompts and none is given, or a vector is 0 or not finite.
    """
    vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
    for places, found in embed_batches(
        model, vocabulary, texts, prompt=prompt, max_length=max_length
    ):
        vectors[places] = found
    return vectors


def embed_batches(
    model: Embedder,
    vocabulary: Vocabulary,
    texts: Iterable[str],
    *,
    prompt: str | None = None,
    max_length: int | None = None,
) -> Iterator[tuple[Int[np.ndarray, " batch"], Float32[np.ndarray, "batch width"]]]:
    """The vectors of `embed`, a batch at a time, for more texts than memory holds.

    Yields:
        The places of some texts among all, and their vectors.

    Raises:
        InputError: as `embed`.
    """
    length = text_length(model, max_length)
    check_inputs("the model", model, vocabulary, length)
    prompt = _chosen_prompt(model, prompt)
    lengths = lengths_of_batches(length)
    rest, rows, start, longer = iter(texts), (), 0, 0
    while part := [f"{prompt}{text}" for text in islice(rest, SORTED_TOGETHER)]:
        few = len(part) <= EVALUATION_ROWS
        rows = rows or (SMALL_BATCHES if few else (EVALUATION_ROWS,))
        ids, cut = token_rows(part, vocabulary, length)
        longer += cut
        for chosen, batch in batches_of_like_lengths(as_windows(ids, vocabulary), lengths, rows):
            found = np.asarray(_vectors(model, batch))[: len(chosen)]
            _check_vectors(found, [part[place] for place in chosen], start + chosen)
            yield start + chosen, found
        start += len(part)
    for remark in too_long(longer, start, length, "their beginning is read"):
        logger.warning("texts: %s", remark)


def text_length(model: Embedder, max_length: int | None = None) -> int:
    """Tokens of a text that are read, at most: `max_length` or, if that is None, the model's."""
    return max_length or model.max_length or model.config.max_positions


def lengths_of_batches(length: int) -> tuple[int, ...]:
    """The lengths that texts of at most `length` tokens are padded to."""
    return (*(shorter for shorter in BATCH_LENGTHS if shorter < length), length)


@jax.jit  # once for a model, however often it is asked
def _vectors(model: Embedder, batch: dict[str, Any]) -> jax.Array:
    vectors = read_batch(model, batch).embedding
    assert vectors is not None
    return vectors


def _chosen_prompt(model: Embedder, prompt: str | None) -> str:
    if prompt is None and model.default_prompt:
        return dict(model.prompts)[model.default_prompt]
    known = {name: text for name, text in model.prompts if text}
    if prompt is None and known:
        named = ", ".join(f"{text!r} ({name})" for name, text in known.items())
        raise InputError(
            f"the model was trained with prompts before its texts: {named}; say with --prompt "
            'which one to put before these, and --prompt "" for none'
        )
    return prompt or ""


def _check_vectors(
    vectors: Float32[np.ndarray, "batch width"],
    texts: Sequence[str],
    places: Int[np.ndarray, " batch"],
) -> None:
    wrong = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    if wrong.any():
        first = int(wrong.argmax())
        what = "is 0" if np.isfinite(vectors[first]).all() else "has values that are not finite"
        raise InputError(
            f"text {places[first] + 1:,}, which begins with {texts[first][:40]!r}: its vector "
            f"{what}, and cannot be compared with others: the model is damaged"
        )
