"""Documents in PubTator's format, as NCBI disease and BC5CDR have it.

    9949209|t|Genetic mapping of the copper toxicosis locus ...
    9949209|a|Abnormal hepatic copper accumulation is ...
    9949209	23	39	copper toxicosis	Modifier	OMIM:215600

Places are characters of the title, a space and the abstract. BC5CDR's lines have a seventh cell
where the parts of a composite mention are named, and four cells where they are relations.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from data.storage.lines import read_lines
from model.errors import InputError
from tasks.linking.documents import Document, Mention, check_spelling, concept_ids

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_RELATION = 4
"""Cells of a line about two concepts."""


def pubtator_documents(file: Path) -> Iterator[Document]:
    """The documents of a file, plain or packed, in its order.

    Raises:
        InputError: a line is torn, stands with another document's, or says that a mention is where
            it is not.
    """
    id, parts, mentions = "", {}, []
    for number, line in enumerate(read_lines(file), 1):
        line, place = line.rstrip("\r\n"), f"{file}, line {number}"
        if not line.strip():
            continue
        if found := _TEXT.fullmatch(line):
            name, part, text = found.groups()
            if part == "t":
                if parts:
                    yield Document(id, _text(parts), tuple(mentions))
                id, parts, mentions = name, {}, []
            elif name != id or "a" in parts or mentions:
                raise InputError(
                    f"{place}: an abstract of {name!r} should follow the line of its title, "
                    f"{name}|t|..."
                )
            parts[part] = text
            continue
        cells = line.split("\t")
        if cells[0] != id or not parts:
            raise InputError(
                f"{place}: {cells[0][:40]!r} is not the id of the text before it"
                f"{f', {id!r}' if id else ''}: a document begins with ID|t|TITLE"
            )
        if len(cells) == _RELATION:
            continue
        mentions.append(_mention(cells, _text(parts), place))
    if parts:
        yield Document(id, _text(parts), tuple(mentions))


def _text(parts: dict[str, str]) -> str:
    return " ".join(parts[name] for name in "ta" if name in parts)


def _mention(cells: list[str], text: str, place: str) -> Mention:
    if len(cells) not in (6, 7):
        raise InputError(
            f"{place}, is torn: it has {len(cells)} cells between tabs instead of 6: id, start, "
            "end, mention, type, concept"
        )
    try:
        start, end = int(cells[1]), int(cells[2])
    except ValueError:
        raise InputError(
            f"{place}: {cells[1]!r} and {cells[2]!r} should be the numbers of the mention's first "
            "and last characters"
        ) from None
    check_spelling(text, start, end, cells[3], place)
    return Mention(start, text[start:end], cells[4], concept_ids(cells[5]), place=place)
