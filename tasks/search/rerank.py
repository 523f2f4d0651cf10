"""Re-ranking: a cross-encoder reads each query together with what a search has found for it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from data.vocabulary import Vocabulary
from tasks.predict import predictor
from tasks.reading import Reading
from tasks.search.documents import DocumentStore
from tasks.search.hits import Hit
from tasks.texts.examples import TextExample
from tasks.values.kind import Regression

QUERIES_TOGETHER = 32
"""Queries whose documents are in memory together."""


@runtime_checkable
class Searcher(Protocol):
    """Search in some documents."""

    name: str
    about: str
    """Its settings, in a sentence."""

    def __call__(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """At most `k` documents for each query, the best first."""
        ...


class CrossEncoder(NamedTuple):
    """A classifier of pairs with one output: the higher, the better the second text answers."""

    name: str
    model: Any
    vocabulary: Vocabulary


class Reranked:
    """Search whose first `candidates` are put into the order of a cross-encoder's scores.

    It reads query and document together (Nogueira and Cho 2019). What the search finds behind the
    candidates is left out.
    """

    def __init__(
        self, search: Searcher, cross: CrossEncoder, documents: DocumentStore, candidates: int
    ):
        self.name = f"{search.name}, re-ranked"
        self.about = (
            f"{self.name}: the first {candidates} by {cross.name}, which reads the first "
            f"{cross.model.config.max_positions} tokens of query and document"
        )
        self._search, self._documents, self._candidates = search, documents, candidates
        self._cross = cross

    def __call__(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        found = self._search(queries, min(self._candidates, len(self._documents)))
        ranked = []
        for start in range(0, len(queries), QUERIES_TOGETHER):
            chosen = slice(start, start + QUERIES_TOGETHER)
            ranked += self._ranked(queries[chosen], found[chosen])
        return [hits[:k] for hits in ranked]

    def _ranked(self, queries: Sequence[str], found: list[list[Hit]]) -> list[list[Hit]]:
        rows = sorted({hit.row for hits in found for hit in hits})
        texts = dict(zip(rows, self._documents.texts(rows), strict=True))
        pairs = [
            (query, texts[hit.row])
            for query, hits in zip(queries, found, strict=True)
            for hit in hits
        ]
        scores = iter(self._scores(pairs))
        again = [[Hit(hit.row, next(scores)) for hit in hits] for hits in found]
        return [sorted(hits, key=lambda hit: -hit.score) for hits in again]

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if not pairs:
            return []
        kind, length = Regression(), self._cross.model.config.max_positions
        examples = [TextExample(str(n), *pair) for n, pair in enumerate(pairs)]
        windows = kind.to_windows(examples, self._cross.vocabulary, (), length, Reading())
        fetched = predictor(kind, windows)(self._cross.model)
        return [each["prediction"] for each in kind.predict(examples, windows, fetched, ())]
