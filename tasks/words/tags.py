"""From logits of tokens to tags of words, to entities, and how good these are.

Entities are found and scored by seqeval in its default mode (`mode=None`), which is that of
CoNLL's `conlleval`: an I- that continues nothing, or something of another type, starts an entity.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from model.errors import InputError
from tasks.windows import Windows

TagLists = Sequence[Sequence[str]]


class Entity(NamedTuple):
    """A name in a text: `text[start:end]` of the whole."""

    type: str
    text: str
    start: int
    end: int


def word_tags(
    logits: Iterable[np.ndarray], windows: Windows, words: Sequence[int], labels: tuple[str, ...]
) -> list[list[str]]:
    """The likeliest tag of each word: that of its first piece, from logits [tokens, labels].

    `words` has the number of words of each example. One that no window predicts, such as one
    without pieces, is tagged O.
    """
    tags = [["O"] * count for count in words]
    for scores, word, example in zip(logits, windows.notes["word"], windows.example, strict=True):
        places = np.flatnonzero(word >= 0)
        for place, best in zip(word[places], scores[places].argmax(-1), strict=True):
            tags[example][place] = labels[best]
    return tags


def entity_f1(gold: TagLists, predicted: TagLists) -> float:
    """F1 of whole entities over all sentences and types; 0 where none are predicted or right.

    Raises:
        InputError: a tag is not O and has no form such as B-person.
    """
    for tag in sorted({tag for tags in (*gold, *predicted) for tag in tags}):
        if not re.fullmatch("O|[BIES]-.+", tag):
            raise InputError(
                f"the tag {tag} names no entity: tags are O, or such as B-person and I-person"
            )
    from seqeval.metrics.sequence_labeling import f1_score  # scikit-learn takes a second to import

    lists = [list(map(list, tags)) for tags in (gold, predicted)]
    scores: Any = f1_score(*lists, average="micro", zero_division=0)  # type: ignore[arg-type]
    return float(scores)


def find_entities(text: str, words: Sequence[tuple[int, int]], tags: Sequence[str]) -> list[Entity]:
    """The scored entities, in a text with the places where its words start and end."""
    from seqeval.metrics.sequence_labeling import get_entities

    found = []
    for kind, first, last in get_entities(list(tags)):
        start, end = words[first][0], words[last][1]
        found.append(Entity(kind, text[start:end], start, end))
    return found
