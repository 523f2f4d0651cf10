"""Scores of a model in retrieval: on a collection with queries and judged documents.

    python -m eval.retrieval MODEL --collection data/scifact
    python -m eval.retrieval MODEL --collection mteb/scifact --max-length 256
    python -m eval.retrieval MODEL --collection data/msmarco --split dev --vectors float16
    python -m eval.retrieval bm25 --collection data/scifact --rerank CROSS_ENCODER

A collection is a folder in BEIR's format (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv) or a set on
the hub with the same three parts. BM25 is scored beside the model, as a search is worth no more
than what it finds beyond words. The command leaves a folder with the metrics and their intervals
(results.json), those of every query (queries.jsonl), and what was found as trec_eval reads it
(run-*.trec).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from data.storage.atomic import write_text
from data.storage.mirror import on_disk
from data.storage.provenance import provenance, write_json_atomic
from eval.run import RESULTS, evaluation_folder, model_in_names
from eval.search import WORDS, SearchSettings, open_searches
from model.terminal import say
from report.naming import difference, with_interval
from report.tables import terminal_table
from tasks.score import half_widths
from tasks.search.bm25 import BM25
from tasks.search.collection import Collection, open_collection
from tasks.search.metrics import DEPTH, TITLES, check_metrics, measure_run
from tasks.search.rerank import Searcher

Found = list[tuple[str, float]]
"""Ids and scores of documents, the best first."""
_LEFT = ("queries.jsonl", "run-*.trec")


@dataclass(frozen=True, kw_only=True)
class RetrievalEvaluation(SearchSettings):
    """Score searches on a collection."""

    collection: str
    """A folder in BEIR's format, or the name of a set on the hub such as mteb/scifact."""
    split: str = "test"
    """The judged queries: of qrels/SPLIT.tsv. Of MS MARCO the usual ones are dev."""
    bm25: bool = True
    """Score a search by words beside the model's: BM25."""
    output: Path | None = None
    """The folder for metrics and results; by default
    runs/retrieval-COLLECTION-SPLIT-MODEL."""


def evaluate_retrieval(config: RetrievalEvaluation) -> dict[str, dict[str, float]]:
    """Scores the searches, prints a table and writes the folder; returns the metrics of each.

    Raises:
        InputError: model and collection cannot be read or do not fit, a library is not installed,
            or the disk refuses.
    """
    config.check()
    check_metrics()  # before a model reads
    if config.output is not None:
        config = replace(config, output=on_disk(config.output, "an evaluation's folder"))
    collection = open_collection(config.collection, config.split, config.cache.expanduser())
    model, place = model_in_names(config.model), model_in_names(config.collection)
    default = f"runs/retrieval-{place}-{config.split}-{model}"
    output = evaluation_folder(
        config.output, default, config.model, ("collection", config.collection), _LEFT
    )
    if (count := len(collection.corpus)) < DEPTH:
        say(f"there are {count} documents, fewer than {DEPTH}: all count in recall@{DEPTH}")
    searches = named_searches(config, collection)
    runs = {name: find(search, collection) for name, search in searches.items()}
    values = {name: measure_run(run, collection.grades) for name, run in runs.items()}
    scores = {name: _scores(each) for name, each in values.items()}
    for name, run in runs.items():
        write_text(output / f"run-{name}.trec", "".join(_trec_lines(run, name)))
    write_text(output / "queries.jsonl", "".join(_query_lines(collection, values)))
    record = {
        "settings": config,
        "collection": {
            "source": collection.name,
            "documents": len(collection.corpus),
            "documents_fingerprint": collection.corpus.fingerprint,
            "queries": len(collection.queries),
            "judged": sum(map(len, collection.grades.values())),
        },
        "searches": {name: {"about": searches[name].about, **scores[name]} for name in searches},
        "provenance": provenance(),
    }
    titles = {name: search.name for name, search in searches.items()}
    if len(values) == 2:
        first, second = values.values()
        apart = {metric: first[metric] - second[metric] for metric in first}
        record["difference"] = scores["difference"] = _scores(apart)
        titles["difference"] = "difference"
    write_json_atomic(output / RESULTS, record)
    about = f"{len(collection.queries):,} queries, {len(collection.corpus):,} documents"
    table = retrieval_table(f"{collection.name}, {config.split}: {about}", titles, scores)
    Console(highlight=False, markup=False).print(table)
    say(*(search.about for search in searches.values()))
    say("± is half the 95 % interval over queries, which are taken as independent of each other.")
    say(f"what was found and more: {output}")
    return {name: scores[name]["metrics"] for name in searches}


def named_searches(config: RetrievalEvaluation, collection: Collection) -> dict[str, Searcher]:
    """The searches that are asked for, each by a name for files."""
    plain, again = open_searches(config, collection.corpus)
    names = [WORDS if isinstance(search, BM25) else "model" for search in plain]
    searches = dict(zip(names, plain, strict=True))
    if again:
        searches |= {f"{name}-reranked": each for name, each in zip(names, again, strict=True)}
    return searches


def find(search: Searcher, collection: Collection) -> dict[str, Found]:
    """The documents that the metrics look at, for each query, without the query itself.

    In ArguAna and Quora the queries are documents, too: as in BEIR those with the query's own id
    are left out.
    """
    ids, depth = collection.corpus.ids, min(DEPTH + 1, len(collection.corpus))
    found = search(list(collection.queries.values()), depth)
    named = (
        (query, [(ids[hit.row], hit.score) for hit in hits if ids[hit.row] != query])
        for query, hits in zip(collection.queries, found, strict=True)
    )
    return {query: pairs[:DEPTH] for query, pairs in named}


def retrieval_table(
    title: str, searches: Mapping[str, str], scores: Mapping[str, Mapping[str, Any]]
) -> Table:
    """A line for each metric, a column for each search, and one for the difference of two."""
    lines = []
    for metric, name in TITLES.items():
        cells = []
        for search in searches:
            value, half = (scores[search][of].get(metric) for of in ("metrics", "intervals"))
            write = difference if search == "difference" else with_interval
            cells.append(write(metric, value, half))
        lines.append([name, *cells])
    return terminal_table(title, ["", *searches.values()], lines)


def _scores(values: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Means over queries, and half the width of their intervals."""

    def means(chosen: Sequence[int]) -> dict[str, float]:
        return {metric: float(each[list(chosen)].mean()) for metric, each in values.items()}

    count = len(next(iter(values.values())))
    return {"metrics": means(range(count)), "intervals": half_widths(means, count)}


def _trec_lines(run: Mapping[str, Found], name: str) -> Iterator[str]:
    for query, found in run.items():
        for rank, (document, score) in enumerate(found, 1):
            yield f"{query} Q0 {document} {rank} {score:.9g} {name}\n"


def _query_lines(
    collection: Collection, values: Mapping[str, Mapping[str, np.ndarray]]
) -> Iterator[str]:
    for number, (query, text) in enumerate(collection.queries.items()):
        metrics = {
            name: {metric: float(each[number]) for metric, each in those.items()}
            for name, those in values.items()
        }
        yield json.dumps({"id": query, "text": text, **metrics}, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: evaluate_retrieval(
            parse(RetrievalEvaluation, prog="python -m eval.retrieval", description=__doc__)
        )
    )
