"""From logits of tokens to tags of words, to entities, and how good these are.

Entities are found and scored by seqeval in its default mode (`mode=None`), which is that of
CoNLL's `conlleval`: an I- that continues nothing, or something of another type, starts an entity.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

from model.errors import InputError
from tasks.windows import Windows

Tags = Sequence[Sequence[str]]


class EntityScores(NamedTuple):
    """Of whole entities over all sentences and types, between 0 and 1."""

    precision: float
    recall: float
    f1: float


class Entity(NamedTuple):
    """A name in a text: `text[start:end]` of the whole."""

    type: str
    text: str
    start: int
    end: int


def word_tags(
    logits: Iterable[np.ndarray],
    windows: Windows,
    words: Sequence[int],
    labels: tuple[str, ...],
) -> list[list[str]]:
    """The likeliest tag of each word: that of its first piece.

    Args:
        logits: [tokens, labels] of each window, or longer where the window is padded.
        windows: from `tasks.words.encode`.
        words: how many words each example has. One that no window predicts, such as one without
            pieces, is tagged O.
        labels: the tags by name.
    """
    tags = [["O"] * count for count in words]
    notes = zip(logits, windows.notes["word"], windows.example, strict=True)
    for scores, word, example in notes:
        places = np.flatnonzero(word >= 0)
        for place, best in zip(word[places], scores[places].argmax(-1), strict=True):
            tags[example][place] = labels[best]
    return tags


def entity_scores(gold: Tags, predicted: Tags) -> EntityScores:
    """Precision, recall and F1; 0 where nothing is predicted, or nothing is there.

    Raises:
        InputError: a tag is not O and has no form such as B-person.
    """
    for tag in sorted({tag for tags in (*gold, *predicted) for tag in tags}):
        if not re.fullmatch("O|[BIES]-.+", tag):
            raise InputError(
                f"the tag {tag} names no entity: tags are O, or such as B-person and I-person"
            )
    lists = [list(map(list, tags)) for tags in (gold, predicted)]
    options: dict[str, Any] = {"average": "micro", "zero_division": 0}
    scores: Any = precision_recall_fscore_support(*lists, **options)
    return EntityScores(*map(float, scores[:3]))


def entity_f1(gold: Tags, predicted: Tags) -> float:
    return entity_scores(gold, predicted).f1


def find_entities(text: str, words: Sequence[tuple[int, int]], tags: Sequence[str]) -> list[Entity]:
    """The entities that are scored, in a text with the places where its words start and end."""
    found = []
    for kind, first, last in get_entities(list(tags)):
        start, end = words[first][0], words[last][1]
        found.append(Entity(kind, text[start:end], start, end))
    return found
