"""Search in your own documents: by a model's vectors, by words (BM25), or both.

    python -m eval.search MODEL --corpus corpus.jsonl "vitamin D and cancer" --top 5
    python -m eval.search bm25 --corpus corpus.jsonl "vitamin D and cancer"
    python -m eval.search MODEL --corpus corpus.jsonl.gz --bm25 --file queries.txt --jsonl
    python -m eval.search bm25 --corpus corpus.jsonl --rerank CROSS_ENCODER "vitamin D and cancer"

The corpus has a JSON object a line: {"_id": "7", "title": "...", "text": "..."}, of which only the
text is needed. What a model has read is kept in the cache, and used again for as long as neither
the corpus nor the model has changed. Without queries they are read from standard input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import tyro

from data.storage.mirror import default_cache
from data.tokenizer import load_vocabulary
from eval.asking.inference import Input
from eval.asking.inputs import read_inputs
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.ranges import Count, check_settings
from model.tasks import Embedder
from model.terminal import say, say_json
from tasks.model import check_inputs
from tasks.reading import Asked
from tasks.search.bm25 import BM25
from tasks.search.dense import DenseSearch, DenseSettings
from tasks.search.documents import DocumentStore, open_documents, open_jsonl
from tasks.search.rerank import CrossEncoder, Reranked, Searcher
from tasks.values.kind import Regression
from tasks.words.encode import check_text

WORDS = "bm25"
"""The word in place of a model where only words are looked for."""
MOST_SHOWN = 10
"""Documents of a query that are shown unless --top says otherwise."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings(DenseSettings):
    """The searches of a command."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of an embedder (BERT or DistilBERT, ours or one of
    sentence-transformers), or bm25."""
    bm25: bool = False
    """Search by words, too: BM25."""
    rerank: str | None = None
    """A folder or hub name of a classifier of pairs with one output (a cross-encoder), which puts
    what was found into its own order."""
    candidates: Count = 100
    """Documents of each query that --rerank reads."""
    cache: Path = field(default_factory=default_cache)
    """The folder that keeps vectors and the index of words."""

    def check(self) -> None:
        """Raises InputError for settings that make no sense together."""
        check_settings(self)
        if self.model == WORDS:
            own = DenseSettings()
            for name in ("max_length", "query_prompt", "document_prompt", "vectors"):
                if getattr(self, name) != getattr(own, name):
                    flag = f"--{name.replace('_', '-')}"
                    raise InputError(f"{flag} is for a model, and {WORDS} reads all words")


@dataclass(frozen=True, kw_only=True)
class SearchConfig(SearchSettings):
    """Find the documents that answer a query."""

    queries: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="QUERY ...")
    ] = ()
    """The queries, each in quotes."""
    corpus: Path
    """The documents: a jsonl file, also packed with gzip."""
    file: Path | None = None
    """Read the queries from here: one a line, or the `text` of a row of a csv, tsv, jsonl or
    parquet file."""
    top: Count | None = None
    """Documents for each query; by default 10, or all if there are fewer."""
    jsonl: bool = False
    """Print a JSON object for each query and search, on a line of its own, for programs."""


def open_searches(
    settings: SearchSettings, documents: DocumentStore
) -> tuple[list[Searcher], list[Searcher]]:
    """The searches that are asked for, and the same re-ranked, if that is.

    Raises:
        InputError: a model cannot be read or has another head, and as `DenseSearch` and `BM25`
            have it.
    """
    cache = settings.cache.expanduser()
    # What may be missing comes before what takes long.
    cross = None if settings.rerank is None else open_cross_encoder(settings.rerank)
    searches: list[Searcher] = []
    if settings.model == WORDS or settings.bm25:
        searches.append(BM25(documents, cache))
    if settings.model != WORDS:
        checkpoint = open_checkpoint(settings.model)
        model, vocabulary = load(checkpoint, Embedder), load_vocabulary(checkpoint.place)
        dense = DenseSearch(settings.model, model, vocabulary, documents, cache, settings)
        searches.insert(0, dense)
    if cross is None:
        return searches, []
    return searches, [Reranked(each, cross, documents, settings.candidates) for each in searches]


def open_cross_encoder(name: str) -> CrossEncoder:
    """The model of --rerank.

    Raises:
        InputError: it cannot be read, or has another head.
    """
    checkpoint = open_checkpoint(name)
    model, vocabulary = load(checkpoint), load_vocabulary(checkpoint.place)
    kind = Regression()
    if type(model) is not kind.model or not kind.serves(model.config):
        raise InputError(
            f"--rerank {name} is no cross-encoder: that is a classifier of pairs with one output, "
            "such as train.finetune regression makes of pairs"
        )
    check_inputs(name, model, vocabulary, 0)
    return CrossEncoder(name, model, vocabulary)


def search(config: SearchConfig) -> None:
    """Prints the documents that are found for each query.

    Raises:
        InputError: there are fewer documents than --top, a query is empty, and as `open_documents`
            and `open_searches` have it.
    """
    config.check()
    documents = open_documents(open_jsonl(config.corpus.expanduser()), config.cache.expanduser())
    top = min(MOST_SHOWN, len(documents)) if config.top is None else config.top
    if top > len(documents):
        raise InputError(
            f"--top {top}: {documents.name} has {len(documents):,} documents with a text: "
            f"give --top {len(documents)} or less"
        )
    if config.rerank and top > config.candidates:
        raise InputError(f"--top {top}: --rerank reads --candidates {config.candidates}")
    chunks = read_inputs(None, config.queries, config.file, Asked(), _check)
    if config.queries or config.file:  # what is wrong with them is said before a model reads
        chunks = chain([next(chunks)], chunks)
    plain, again = open_searches(config, documents)
    searches, blank = again or plain, []
    for inputs in chunks:
        results = _found([each.text for each in inputs], searches, documents, top)
        for given, found in zip(inputs, results, strict=True):
            if config.jsonl:
                for name, hits in found.items():
                    _print_json(given, name, hits)
                continue
            say(*blank, shorten(given.text, 100, placeholder=" ..."))
            for name, hits in found.items():
                say(*[f"  {name}:"] * (len(found) > 1), *_lines(hits))
            blank = [""]


def _check(given: Input) -> None:
    check_text(given.text, given.place)


def _found(
    queries: Sequence[str], searches: Sequence[Searcher], documents: DocumentStore, top: int
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """For each query the id, score and text of what each search has found, by its name."""
    found = {search.name: search(queries, top) for search in searches}
    rows = sorted({hit.row for lists in found.values() for hits in lists for hit in hits})
    texts = dict(zip(rows, documents.texts(rows), strict=True))
    for number in range(len(queries)):
        yield {
            name: [
                {"id": documents.ids[hit.row], "score": hit.score, "text": texts[hit.row]}
                for hit in lists[number]
            ]
            for name, lists in found.items()
        }


def _lines(hits: Sequence[dict[str, Any]]) -> Iterator[str]:
    for place, hit in enumerate(hits, 1):
        quoted = shorten(hit["text"], 80, placeholder=" ...")
        yield f"  {place:3}  {hit['score']:7.3f}  {hit['id']}  {quoted}"
    if not hits:
        yield "  nothing was found"


def _print_json(given: Input, name: str, hits: list[dict[str, Any]]) -> None:
    own = {} if given.id is None else {"id": given.id}
    line = {**own, "query": given.text, "search": name, "documents": hits}
    say_json(line)


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(lambda: search(parse(SearchConfig, prog="python -m eval.search", description=__doc__)))
