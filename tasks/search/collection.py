"""Test collections: documents, queries, and the grades of documents for a query.

The format is BEIR's (Thakur et al. 2021), in a folder or on the hub.
"""

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from data.corpora.hub import HUB_NAME, load_splits
from data.rows import Row, read_rows, require_cell
from model.errors import InputError
from tasks.formats.rows import text_cell
from tasks.search.documents import (
    DocumentStore,
    HubSplit,
    JsonlFile,
    RowSource,
    by_id,
    open_documents,
)


@dataclass(frozen=True)
class Collection:
    """Documents, and the queries of a split."""

    name: str
    """The folder, or the set on the hub with its commit."""
    corpus: DocumentStore
    queries: Mapping[str, str]
    """The text of each query that has judged documents, by id."""
    grades: Mapping[str, Mapping[str, int]]
    """The grade of each judged document, 0 if it is not relevant, by query and document; of the
    same queries in the same order."""


class _Judged(NamedTuple):
    place: str
    query: str
    document: str
    grade: int


def open_collection(name: str, split: str, cache: Path) -> Collection:
    """The collection in a folder, or of that name on the hub.

    A folder holds corpus.jsonl and queries.jsonl (each also .gz), with `_id`, `title` and `text` in
    each line, and qrels/SPLIT.tsv with the columns query-id, corpus-id and score. A set on the hub
    has the configurations `corpus`, `queries` and, for the grades, `default`, as mteb/scifact.

    Raises:
        InputError: something is missing or damaged, an id is there twice, or judged and not there,
            a grade is negative or no integer, and as `open_documents` has it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        corpus, queries, rows = _folder(folder, split)
    elif HUB_NAME.fullmatch(name) and not folder.exists():
        name, corpus, queries, rows = _hub(name, split)
    else:
        raise InputError(
            f"{name} is neither a folder with corpus.jsonl, queries.jsonl and qrels/ nor the name "
            "of a set on the hub, such as mteb/scifact"
        )
    judged = list(map(_judged, rows))
    grades: dict[str, dict[str, int]] = {}
    for place, query, document, grade in judged:
        if document in grades.setdefault(query, {}):
            raise InputError(f"{place}: {document!r} was judged for the query {query!r} before")
        grades[query][document] = grade
    texts = {key: text_cell(row, ("text",)) for key, row in by_id(queries) if key in grades}
    _check_known(((j.place, j.query) for j in judged), "query", texts, queries.name)
    documents = open_documents(corpus, cache)
    ids = {*documents.ids, *documents.empty}
    _check_known(((j.place, j.document) for j in judged), "document", ids, corpus.name)
    return Collection(name, documents, texts, {key: grades[key] for key in texts})


def _folder(folder: Path, split: str) -> tuple[RowSource, RowSource, Iterable[Row]]:
    corpus, queries = (_file(folder, name) for name in ("corpus.jsonl", "queries.jsonl"))
    qrels = folder / "qrels" / f"{split}.tsv"
    if not qrels.is_file():
        splits = sorted(file.stem for file in (folder / "qrels").glob("*.tsv"))
        raise InputError(_no_split(f"{qrels} does not exist", splits))
    return corpus, queries, read_rows(qrels)


def _file(folder: Path, name: str) -> JsonlFile:
    there = [file for file in (folder / name, folder / f"{name}.gz") if file.is_file()]
    if len(there) != 1:
        problem, word = ("holds both", "and") if there else ("does not hold", "or")
        raise InputError(f"{folder} {problem} {name} {word} {name}.gz: it should hold one of them")
    return JsonlFile(there[0])


def _hub(name: str, split: str) -> tuple[str, RowSource, RowSource, Iterable[Row]]:
    match = HUB_NAME.fullmatch(name)
    assert match is not None
    repository, config, revision = match.groups()
    if config:
        raise InputError(f"{name}: leave out :{config}, a collection has three configurations")

    def load(config: str) -> tuple[str, dict]:
        full = f"{repository}:{config}{f'@{revision}' if revision else ''}"
        commit, splits = load_splits(
            full, streaming=False, instead="give a folder with corpus.jsonl, queries.jsonl, qrels/"
        )
        return f"{repository}@{commit}", splits

    commit, qrels = load("default")
    if split not in qrels:
        raise InputError(_no_split(f"{name} has no split {split}", sorted(qrels)))
    corpus, queries = (
        HubSplit(f"{commit}, {part}", load(part)[1][part]) for part in ("corpus", "queries")
    )
    return commit, corpus, queries, HubSplit(f"{commit}, {split}", qrels[split]).rows()


def _no_split(problem: str, there: list[str]) -> str:
    choice = f"give --split {' or '.join(there)}" if there else "there are no others"
    return f"{problem}: {choice}"


def _judged(row: Row) -> _Judged:
    """A line of qrels.

    Raises:
        InputError: a column is missing, or the grade is negative or no integer.
    """
    if row.problem:
        raise InputError(f"{row.place}, {row.problem}")
    query, document, grade = (
        row.cells[require_cell(row, (name,))] for name in ("query-id", "corpus-id", "score")
    )
    try:
        number = float(grade)
    except (TypeError, ValueError):
        number = math.nan
    if number < 0 or not number.is_integer():
        raise InputError(
            f"{row.place}: the score is {grade!r}, and must be an integer from 0, which is not "
            "relevant, upwards"
        )
    return _Judged(row.place, str(query), str(document), int(number))


def _check_known(
    judged: Iterable[tuple[str, str]], what: str, known: Container[str], source: str
) -> None:
    """Raises InputError if ids are judged, each after its place, and not known."""
    places: dict[str, str] = {}
    for place, name in judged:
        if name not in known:
            places.setdefault(name, place)
    if places:
        first, *others = places.items()
        more = f" (nor are {len(others):,} others)" if others else ""
        raise InputError(f"{first[1]}: the {what} {first[0]!r} is not in {source}{more}")
