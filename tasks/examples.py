"""What the tasks are made of: texts with a label, words with tags, questions about a text."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class TextExample:
    """A text, or a pair of texts, and its class (a name) or value (a number)."""

    id: str
    text: str
    pair: str | None = None
    label: str | float | None = None
    """None in a test set whose answers are kept back."""


@dataclass(frozen=True)
class TaggedExample:
    """The words of a sentence, each with a tag such as B-person."""

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None


class Answer(NamedTuple):
    """A part of the context: `context[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True)
class QuestionExample:
    """A question whose answer is a part of the context, or that the context does not answer."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] | None = None
    """What annotators gave; empty: they found none. None in a test set without answers."""


Example = TextExample | TaggedExample | QuestionExample
