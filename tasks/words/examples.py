"""Words with tags, and the columns of a row that hold them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from data.rows import Row, require_cell
from model.errors import InputError
from tasks.formats.rows import IncompleteError, find_cell

_IOB = re.compile(r"O|[BI]-.+")


@dataclass(frozen=True)
class TaggedExample:
    """The words of a sentence, each with a tag such as B-person."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TagColumns:
    """Rows with the words of a sentence and their tags, as lists or with spaces between them."""

    words: Sequence[str] = ("words", "tokens")
    tags: Sequence[str] = ("tags", "ner_tags")
    own: bool = False
    """The names were given by flags, which messages then mention."""

    def example(
        self, row: Row, number: int, labels: tuple[str, ...], labelled: bool
    ) -> TaggedExample:
        """As `tasks.formats.rows.Columns` has it. The tags are IOB2, whatever they were."""
        words = self._list(row, self.words, "--data.text-field")
        if not words or "" in words:
            raise IncompleteError(
                f"{row.place}: {'a word is' if words else 'the words are'} missing"
            )
        if not labelled and not find_cell(row, self.tags):
            return TaggedExample(str(number), tuple(words))
        tags = self._list(row, self.tags, "--data.label-field")
        if len(tags) != len(words):
            raise InputError(f"{row.place}: {len(words)} words have {len(tags)} tags")
        places = row.word_places or [f"{row.place}, word {n + 1}" for n in range(len(words))]
        iob2 = to_iob2(tags)
        for place, word, given, tag in zip(places, words, tags, iob2, strict=True):
            if not _IOB.fullmatch(given):
                raise InputError(
                    f"{place}: the tag {given!r} of {word!r} is neither O nor one that begins with "
                    "B- or I-"
                )
            if labels and tag not in labels:
                allowed = ", ".join(labels)
                raise InputError(f"{place}: the tag {tag!r} of {word!r} is none of {allowed}")
        return TaggedExample(str(number), tuple(words), iob2)

    def _list(self, row: Row, names: Sequence[str], flag: str) -> list[str]:
        name = require_cell(row, names, flag if self.own else "")
        value = row.cells[name]
        if isinstance(value, str):
            return value.split()
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        raise InputError(
            f"{row.place}: {name!r} should be a list of words, or words with spaces between"
        )


def iob2_tags(types: Sequence[str]) -> tuple[str, ...]:
    """All tags that words may have in IOB2 where entities are of these types."""
    return ("O", *(f"{mark}-{name}" for name in types for mark in "BI"))


def to_iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags in which each entity begins with B-.

    In IOB1 (CoNLL-2003) one begins with I-, save right after another of its type. Such an I- comes
    after O or after another type; IOB2 has none there. So one rule serves both, and there is
    nothing to find out: IOB2 stays as it is.
    """
    return tuple(
        f"B{tag[1:]}" if tag.startswith("I-") and last[2:] != tag[2:] else tag
        for last, tag in zip(("O", *tags), tags, strict=False)
    )
