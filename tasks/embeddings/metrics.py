"""Ranks of the right documents, and metrics of them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from tasks.embeddings.examples import PairExample

QUERIES = 1024
"""Queries that are compared with all documents at once."""


def right_at_1(gold: Sequence[int], ranks: Sequence[int]) -> float:
    """The share of queries whose document comes first; `gold`, the best ranks, are all 1."""
    return float(np.mean(np.asarray(ranks) <= 1))


def text_right_at_1(gold: Sequence[Sequence[int]], ranks: Sequence[Sequence[int]]) -> float:
    """The share of translations whose text comes first; `ranks` are of the text and of it."""
    return right_at_1([text for text, _ in gold], [text for text, _ in ranks])


def translation_right_at_1(gold: Sequence[Sequence[int]], ranks: Sequence[Sequence[int]]) -> float:
    """The share of texts whose translation comes first, likewise."""
    return right_at_1([second for _, second in gold], [second for _, second in ranks])


def reciprocal_rank_at_10(gold: Sequence[int], ranks: Sequence[int]) -> float:
    """The mean of 1 / rank, and of 0 behind the tenth place."""
    found = np.asarray(ranks)
    return float(np.mean(np.where(found <= 10, 1 / found, 0.0)))


def rank(
    examples: Sequence[PairExample], vectors: Sequence[Float[np.ndarray, "_texts width"]]
) -> tuple[Int[np.ndarray, " examples"], list[str]]:
    """The rank of each example's document among the documents and negatives of all, by cosine.

    Other documents that are right for the query are left out. Of equal ones the document is the
    last: a model to which all texts are alike finds nothing.

    Args:
        examples: with their own document each.
        vectors: of the query, the document and the negatives of each.

    Returns:
        The ranks, from 1, and the text that comes first.
    """
    documents: dict[str, np.ndarray] = {}
    right: dict[str, set[str]] = {}
    for example, of_texts in zip(examples, vectors, strict=True):
        texts = (example.document, *example.negatives)
        documents |= dict(zip(texts, of_texts[1 : 1 + len(texts)], strict=True))
        right.setdefault(example.group, set()).add(example.document)
    texts = list(documents)
    places = {text: place for place, text in enumerate(texts)}
    matrix = _unit(np.stack(list(documents.values())))
    ranks, first = [], []
    for start in range(0, len(examples), QUERIES):
        part = examples[start : start + QUERIES]
        queries = _unit(np.stack([v[0] for v in vectors[start : start + QUERIES]]))
        for example, scores in zip(part, queries @ matrix.T, strict=True):
            own = places[example.document]
            others = [places[text] for text in right[example.group] if text != example.document]
            scores[others] = -np.inf
            ranks.append(int(np.sum(scores >= scores[own])))
            scores[own] = np.nextafter(scores[own], -np.inf)  # others of equal ones come first
            first.append(texts[int(scores.argmax())])
    return np.array(ranks), first


def _unit(vectors: Float[np.ndarray, "all width"]) -> Float[np.ndarray, "all width"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
