"""Schemes of tags that mark entities (Tjong Kim Sang & Veenstra 1999; Ratinov & Roth 2009).

A tag of a scheme is O, or a mark, a hyphen and the entity's type: B-person begins a person.
"""

import re
from collections.abc import Collection, Iterable, Sequence

SCHEMES = {"IOB1 or IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
"""The marks of each: Begin, Inside (or Middle), End (or Last), Single (or Unit)."""
IOB = next(iter(SCHEMES))
_AS_BIOES = {"L": "E", "U": "S", "M": "I"}
_TAG = re.compile("O|[BIEMSLU]-.+", re.DOTALL)


def find_scheme(tags: Iterable[str]) -> str | None:
    """The first of `SCHEMES` that all tags are of; None if they are plain: parts of speech, say.

    Whatever has a mark in another place (B_person, person-B), or none, makes all of them plain.
    """
    marks = {_mark(tag) for tag in tags} - {"O"}
    if marks.isdisjoint("BI"):
        return None
    return next((name for name, known in SCHEMES.items() if marks <= set(known)), None)


def tags_of_types(types: Iterable[str], scheme: str = IOB) -> tuple[str, ...]:
    """All tags that words may have where entities are of these types."""
    return ("O", *(f"{mark}-{name}" for name in types for mark in SCHEMES[scheme]))


def explain(tags: Collection[str]) -> str:
    """A sentence on how tags are read; if a few keep the others from a scheme, it names one."""
    scheme = find_scheme(tags)
    if scheme:
        return f"the tags mark entities, in {scheme}"
    sentence = "the tags are plain, one a word: they are not of IOB1, IOB2, BIOES or BILOU"
    misfits = sorted(tag for tag in tags if not _mark(tag))
    return (
        f"{sentence}, because of {misfits[0]!r}" if 0 < 2 * len(misfits) < len(tags) else sentence
    )


def to_iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags of IOB1 or IOB2 in which each entity begins with B-.

    In IOB1 (CoNLL-2003) one begins with I-, save right after another of its type. Such an I- comes
    after O or after another type; IOB2 has none there. So one rule serves both, and there is
    nothing to find out: IOB2 stays as it is.
    """
    return tuple(
        f"B{tag[1:]}" if tag.startswith("I-") and last[2:] != tag[2:] else tag
        for last, tag in zip(("O", *tags), tags, strict=False)
    )


def to_bioes(tags: Sequence[str]) -> list[str]:
    """Tags of any scheme with the marks B, I, E and S."""
    return [_AS_BIOES.get(tag[0], tag[0]) + tag[1:] for tag in tags]


def _mark(tag: str) -> str:
    """The letter before the hyphen, or O; "" in a tag of another form."""
    return tag[0] if _TAG.fullmatch(tag) else ""
