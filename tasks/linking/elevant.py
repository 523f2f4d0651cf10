"""Documents in the jsonl of ELEVANT, in which AIDA-CoNLL and other sets are given out.

A line has the `text` of a document and its `labels`, each with `span` and `entity_id`. Where there
are candidate lists, such as PPRforNED's for AIDA, they are the `candidates` of a label, or of the
`entity_mentions` with the same span, as ELEVANT writes the results of a linker.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data.rows import Row, cell_text, read_rows
from model.errors import InputError
from tasks.linking.documents import Document, Mention, bare, check_spelling, concept_ids


def elevant_documents(file: Path) -> Iterator[Document]:
    """The documents of a file in its order; `optional` labels are left out, as ELEVANT does.

    Raises:
        InputError: a line is not JSON, or has another structure.
    """
    for number, row in enumerate(read_rows(file), 1):
        text = cell_text(row, ("text",))
        try:
            lists = {
                tuple(each["span"]): each["candidates"]
                for each in row.cells.get("entity_mentions") or ()
                if each.get("candidates")
            }
            mentions = [
                _mention(label, lists, text, row)
                for label in row.cells.get("labels") or ()
                if not label.get("optional")
            ]
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{row.place}: labels should be objects like "
                f'{{"span": [0, 8], "entity_id": "Q13909"}} ({error!r})'
            ) from None
        mentions.sort(key=lambda mention: mention.start)
        yield Document(str(row.cells.get("id", number)), text, tuple(mentions))


def _mention(label: Mapping[str, Any], lists: Mapping[Any, Any], text: str, row: Row) -> Mention:
    start, end = (int(place) for place in label["span"])
    check_spelling(text, start, end, label.get("mention", text[start:end]), row.place)
    id, candidates = label["entity_id"], label.get("candidates", lists.get((start, end)))
    if not isinstance(id, str | int | None):
        raise InputError(
            f"{row.place}: the entity_id of {text[start:end]!r} should be a text, and is {id!r:.60}"
        )
    if not isinstance(candidates, list | None):
        raise InputError(
            f"{row.place}: the candidates of {text[start:end]!r} should be a list of ids, and are "
            f"{candidates!r:.60}"
        )
    return Mention(
        start,
        text[start:end],
        str(label.get("type", "")),
        concept_ids("" if id is None else str(id)),
        None if candidates is None else tuple(bare(str(each)) for each in candidates),
        row.place,
    )
