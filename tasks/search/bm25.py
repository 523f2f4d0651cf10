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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data.extras import library
from data.storage.cache import make_once
from model.errors import InputError
from model.terminal import say
from tasks.search.documents import DocumentStore
from tasks.search.hits import Hit, best_of

FORMAT_OF_BM25 = 1  # with a new number older entries of the cache are unused
K1, B = 0.9, 0.4
WORD, STOP_WORDS, STEMMER = r"(?u)\b\w+\b", "en", "porter"  # as bm25s and PyStemmer call them


class BM25:
    """Documents to search in by words; the score is their BM25, above 0 for all that are found.

    Their index is made once and kept in the cache.

    Raises:
        InputError: bm25s or PyStemmer is not installed, no document has a word that counts, or the
            cache cannot be written.
    """

    name = "BM25"
    about = f"BM25: k1 {K1}, b {B}, Porter's stemmer, Lucene's 33 English stop words"

    def __init__(self, documents: DocumentStore, cache: Path):
        self._bm25s = library("bm25s", "search", "BM25")
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets its own to DEBUG
        self._stemmer = library("Stemmer", "search", "BM25").Stemmer(STEMMER)
        about = [FORMAT_OF_BM25, documents.fingerprint, K1, B, WORD, STOP_WORDS, STEMMER]
        about += [version("bm25s"), version("PyStemmer")]
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()

        def make(folder: Path) -> None:
            say(f"BM25 indexes {documents.name}, once: {len(documents):,} documents", error=True)
            words = self._words(list(documents.texts()))
            if not any(words.ids):
                raise InputError(f"{documents.name} holds nothing but stop words for BM25")
            index = self._bm25s.BM25(k1=K1, b=B)
            index.index(words, show_progress=False)
            index.save(folder, show_progress=False)

        folder = make_once(cache / "bm25" / digest[:24], make, flag="--cache")
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
