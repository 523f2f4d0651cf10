"""Documents with mentions, from files of any format, and what is to be known of them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.rows import table_suffix
from model.errors import InputError, first_of
from tasks.linking.dictionary import Dictionary, plain_name
from tasks.linking.documents import Document, Mention
from tasks.linking.elevant import elevant_documents
from tasks.linking.pubtator import pubtator_documents

_SHOWN = 3
"""Examples of what a remark is about."""


def read_documents(files: Sequence[Path], types: Sequence[str] = ()) -> list[Document]:
    """The documents of files: jsonl as ELEVANT has it, all others as PubTator has it.

    Args:
        files: plain or packed.
        types: those of the mentions to keep, such as Disease; by default all.

    Raises:
        InputError: as the formats have it; or there is no mention, none of these types, or
            none with a concept.
    """
    documents: list[Document] = []
    for file in files:
        if file.is_dir():
            raise InputError(
                f"{file} is a folder: give a file of documents; a model comes before all flags"
            )
        read = elevant_documents if table_suffix(file) == ".jsonl" else pubtator_documents
        documents += read(file)
    names = ", ".join(map(str, files))
    there = Counter(mention.type for each in documents for mention in each.mentions)
    if not there:
        raise InputError(
            f"{names}: there are no mentions: give documents in PubTator's format or, with a name "
            "that ends in .jsonl, in ELEVANT's"
        )
    if missing := [name for name in types if name not in there]:
        raise InputError(f"{names}: no mention is of type {missing[0]!r}, only {', '.join(there)}")
    if types:
        documents = [
            Document(d.id, d.text, tuple(m for m in d.mentions if m.type in types))
            for d in documents
        ]
    if not any(mention.ids for each in documents for mention in each.mentions):
        raise InputError(f"{names}: no mention has the id of a concept, so no link can be right")
    return documents


def remarks(
    documents: Sequence[Document], dictionary: Dictionary, training: Sequence[Document] = ()
) -> Iterator[str]:
    """Sentences on mentions that cannot be linked, and on documents that are there twice.

    A mention whose ids are all outside the dictionary keeps the accuracy below 1: the ceiling is
    told.
    """
    mentions = [mention for document in documents for mention in document.mentions]
    linked = [mention for mention in mentions if mention.ids]
    yield (
        f"{len(documents):,} documents with {len(linked):,} mentions, {len(dictionary.concepts):,} "
        f"concepts with {len(dictionary.names):,} names"
    )
    if len(linked) < len(mentions):
        yield f"mentions of no concept, which are left out: {len(mentions) - len(linked):,}"
    if outside := [m for m in linked if dictionary.by_id.keys().isdisjoint(m.ids)]:
        yield (
            f"mentions with ids outside the dictionary: {len(outside):,} ({_first(outside)}); "
            "without training mentions at most "
            f"{100 - 100 * len(outside) / len(linked):.1f} % can be right"
        )
    if unlisted := [
        m for m in linked if m.candidates is not None and set(m.candidates).isdisjoint(m.ids)
    ]:
        yield f"mentions with no right candidate: {len(unlisted):,} ({_first(unlisted)})"
    if marks := [m for m in linked if not plain_name(m.text)]:
        yield (
            f"mentions without letter or digit, which count as wrong: {len(marks):,} "
            f"({_first(marks)})"
        )
    known = {document.id for document in training}
    if shared := [document.id for document in documents if document.id in known]:
        yield (
            f"documents that are among those of training, too, and so no test: {len(shared):,} "
            f"({first_of(shared, _SHOWN)})"
        )


def _first(mentions: Sequence[Mention]) -> str:
    return first_of([f"{m.place}: {m.text!r} {'|'.join(m.ids)}" for m in mentions], _SHOWN)
