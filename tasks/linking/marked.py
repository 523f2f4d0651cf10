"""Mentions that a person has marked in a text, as in "He had [[copper fever]] twice"."""

import re

from model.errors import InputError
from tasks.linking.dictionary import plain_name
from tasks.linking.documents import Document, Mention

_MARKS = re.compile(r"\[\[|\]\]")


def marked_document(text: str, place: str) -> Document:
    """The text without its marks, and the mentions between them.

    `place` is for messages, where "has" comes after it, as in "text 1" and "f.txt, line 3,".

    Raises:
        InputError: there are no mentions, one has no letter or digit, or a mark has no other.
    """
    parts = _MARKS.split(text)
    marks = _MARKS.findall(text)
    if not marks:
        raise InputError(
            f"{place} has no mention to link: mark it like [[this]], or give a tagger as the model"
        )
    if marks != ["[[", "]]"] * (len(marks) // 2):
        raise InputError(
            f"{place} has a mark without its other: each [[ should be followed by its own ]], in "
            f"{text[:60]!r}"
        )
    mentions, start = [], 0
    for number, part in enumerate(parts):
        if number % 2:
            if not plain_name(part):
                raise InputError(
                    f"{place} has the mention {part!r}, without a letter or digit to look for"
                )
            mentions.append(Mention(start, part, place=place))
        start += len(part)
    return Document(place, "".join(parts), tuple(mentions))
