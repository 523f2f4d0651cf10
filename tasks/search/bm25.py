"""BM25 (Robertson and Zaragoza 2009): search by words, the baseline of every other search.

As Lucene has it, with the settings of Anserini (k1 0.9, b 0.4), so that numbers compare with
published ones: words are runs of letters and digits in small letters, Lucene's 33 English stop
words are left out, and Porter's stemmer cuts endings off. For English; other languages are found by
their whole words.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from data.storage.cache import make_once
from model.errors import InputError
from model.ranges import Range, Share
from model.terminal import say
from tasks.search.documents import DocumentStore
from tasks.search.extra import library
from tasks.search.hits import Hit, best_of

FORMAT_OF_BM25 = 1  # with a new number older entries of the cache are unused
WORD, STOP_WORDS, STEMMER = r"(?u)\b\w+\b", "en", "porter"  # as bm25s and PyStemmer call them


@dataclass(frozen=True)
class BM25Settings:
    """The two numbers of BM25."""

    k1: Annotated[float, Range(0, 10)] = 0.9
    """The larger, the more a word counts that a document repeats."""
    b: Share = 0.4
    """The larger, the less a word counts in a document that is long."""


class BM25:
    """Documents to search in by words; the score is their BM25, above 0 for all that are found.

    Their index is made once and kept in the cache.

    Raises:
        InputError: bm25s or PyStemmer is not installed, no document has a word that counts, or the
            cache cannot be written.
    """

    name = "BM25"

    def __init__(self, corpus: DocumentStore, cache: Path, settings: BM25Settings | None = None):
        self._bm25s = library("bm25s", "BM25")
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets its own to DEBUG
        self._stemmer = library("Stemmer", "BM25").Stemmer(STEMMER)
        chosen = asdict(settings or BM25Settings())
        about = [FORMAT_OF_BM25, corpus.fingerprint, chosen, WORD, STOP_WORDS, STEMMER]
        about += [version("bm25s"), version("PyStemmer")]
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()

        def make(folder: Path) -> None:
            say(f"{corpus.name}: the words of {len(corpus):,} documents are indexed", error=True)
            words = self._words(list(corpus.texts()))
            if not any(words.ids):
                raise InputError(f"{corpus.name}: BM25 finds words, and there are stop words only")
            index = self._bm25s.BM25(**chosen)
            index.index(words, show_progress=False)
            index.save(folder, show_progress=False)

        folder = make_once(cache / "bm25" / digest[:24], make)
        self._index = self._bm25s.BM25.load(folder, mmap=True)

    def __call__(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """At most `k` documents with a word of each query, the best first."""
        known = self._index.vocab_dict
        found = []
        for words in self._words(list(queries), ids=False):
            places = [known[word] for word in words if word and word in known]
            found.append(best_of(self._index.get_scores(places), k) if places else [])
        return found

    def _words(self, texts: list[str], *, ids: bool = True) -> Any:
        return self._bm25s.tokenize(
            texts,
            token_pattern=WORD,
            stopwords=STOP_WORDS,
            stemmer=self._stemmer,
            return_ids=ids,
            show_progress=False,
        )
