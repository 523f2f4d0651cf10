"""Words with tags, and the columns of a row that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from data.rows import Row, require_cell
from model.errors import InputError
from tasks.formats.labels import WITHOUT_SPACE
from tasks.formats.rows import IncompleteError, find_cell


@dataclass(frozen=True)
class TaggedExample:
    """The words of a sentence, each with a tag, such as B-person or NOUN."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    remark: str = field(default="", compare=False, repr=False)
    """On what of the tags' cells was left out."""


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
        """As `tasks.formats.rows.Columns` has it."""
        words = self._list(row, self.words, "--data.text-field")
        if not words or "" in words:
            raise IncompleteError(
                f"{row.place}: {'a word is' if words else 'the words are'} missing"
            )
        if not labelled and not find_cell(row, self.tags):
            return TaggedExample(str(number), tuple(words))
        given = self._list(row, self.tags, "--data.label-field")
        tags = [tag.strip() for tag in given]
        if len(tags) != len(words):
            raise InputError(f"{row.place}: {len(words)} words have {len(tags)} tags")
        places = row.word_places or [f"{row.place}, word {n + 1}" for n in range(len(words))]
        for place, word, tag in zip(places, words, tags, strict=True):
            if not tag:
                raise InputError(f"{place}: the tag of {word!r} is missing")
            if labels and tag not in labels:
                allowed = ", ".join(labels)
                raise InputError(f"{place}: the tag {tag!r} of {word!r} is none of {allowed}")
        remark = "" if tags == given else WITHOUT_SPACE
        return TaggedExample(str(number), tuple(words), tuple(tags), remark)

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
