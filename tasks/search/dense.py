"""Dense search: documents and queries as vectors of a model, compared by their inner product."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import xxhash
from flax import nnx

from data.clock import seconds_since
from data.prepare import LINE_EVERY
from data.storage.cache import make_once
from data.vocabulary import Vocabulary
from model.errors import InputError
from model.ranges import Length, Prompt
from model.tasks import Embedder
from model.terminal import say
from tasks.embeddings.embed import embed, embed_batches
from tasks.search.documents import DocumentStore
from tasks.search.exact import ExactSearch
from tasks.search.hits import Hit
from tasks.search.vectors import StoredVectors, write_vectors

FORMAT_OF_VECTORS = 1  # with a new number older entries of the cache are unused
# The names that sentence-transformers gives prompts of queries and of documents.
_OF_QUERIES, _OF_DOCUMENTS = ("query",), ("document", "passage", "corpus")


@dataclass(frozen=True, kw_only=True)
class DenseSettings:
    """Settings of how a model reads documents and queries."""

    max_length: Length | None = None
    """Tokens of a document or query that are read, [CLS] and [SEP] included; by default as many as
    the model's files say."""
    query_prompt: Prompt | None = None
    """Text before each query; by default the model's prompt "query", if it has one."""
    document_prompt: Prompt | None = None
    """Text before each document; by default the model's prompt "document", "passage" or
    "corpus"."""
    vectors: Literal["float32", "float16"] = "float32"
    """How the vectors of documents are kept: float16 is half as large, and rounds a cosine by less
    than 0.001."""


class DenseSearch:
    """Documents to search in by the vectors of a model.

    The vectors are made once and kept in the cache, under a digest of the documents, of the model's
    parameters and of how it reads: another model, or a change of the documents, makes new ones.

    Raises:
        InputError: the settings do not fit the model, or the cache cannot be written.
    """

    def __init__(
        self,
        name: str,
        model: Embedder,
        vocabulary: Vocabulary,
        documents: DocumentStore,
        cache: Path,
        settings: DenseSettings | None = None,
    ):
        settings = settings or DenseSettings()
        self.name, self._model, self._vocabulary = name, model, vocabulary
        length = settings.max_length or model.max_length or model.config.max_positions
        self.about = f"{name}: the first {length} tokens of each document, {settings.vectors}"
        self._reading = {
            "prompt": _prompt(model, settings.query_prompt, _OF_QUERIES, "--query-prompt"),
            "max_length": length,
        }
        prompt = _prompt(model, settings.document_prompt, _OF_DOCUMENTS, "--document-prompt")
        about = [FORMAT_OF_VECTORS, documents.fingerprint, fingerprint(model)]
        about += [vocabulary.fingerprint, length, prompt, settings.vectors]
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()

        def make(folder: Path) -> None:
            batches = embed_batches(
                model, vocabulary, documents.texts(), prompt=prompt, max_length=length
            )
            shape = (len(documents), model.config.hidden_size)
            told = _told(batches, len(documents), f"{name} reads {documents.name}")
            write_vectors(folder / "vectors.npy", shape, settings.vectors, told, "--cache")

        folder = make_once(cache / "vectors" / digest[:24], make, flag="--cache")
        self._search = ExactSearch(StoredVectors(folder / "vectors.npy"))

    def __call__(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """The `k` best documents for each query, the best first.

        Raises:
            InputError: there are fewer.
        """
        vectors = embed(self._model, self._vocabulary, queries, **self._reading)
        found = self._search(vectors, k)
        return [
            [Hit(int(row), float(score)) for row, score in zip(rows, scores, strict=True)]
            for scores, rows in zip(*found, strict=True)
        ]


def fingerprint(model: Embedder) -> str:
    """A digest of everything that decides the vector of some tokens."""
    about = (model.config, model.pooling, model.normalised)
    digest = xxhash.xxh3_128(repr(about).encode())
    for place, parameter in nnx.to_flat_state(nnx.state(model)):
        digest.update(repr(place).encode())
        digest.update(np.ascontiguousarray(parameter[...]).data)
    return digest.hexdigest()


def _prompt(model: Embedder, given: str | None, names: Sequence[str], flag: str) -> str | None:
    """The text before each query or document; None leaves it to the model's default."""
    known = dict(model.prompts)
    chosen = next((known[name] for name in names if name in known), None)
    if given is None and chosen is None and any(known.values()) and not model.default_prompt:
        raise InputError(
            f"the model was trained with prompts called {', '.join(known)}, none of which is "
            f'{" or ".join(names)}: give the right text with {flag}, and "" for none'
        )
    return chosen if given is None else given


def _told(
    batches: Iterator[tuple[np.ndarray, np.ndarray]], count: int, title: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Passes the batches on, and prints their progress to stderr."""
    done, start = 0, time.perf_counter()
    printed = start
    say(f"{title}, once: {count:,} documents", error=True)
    for places, vectors in batches:
        yield places, vectors
        done += len(places)
        if seconds_since(printed) > LINE_EVERY:
            printed = time.perf_counter()
            say(f"{title}: {done:,} of {count:,}, {done / seconds_since(start):,.1f}/s", error=True)
