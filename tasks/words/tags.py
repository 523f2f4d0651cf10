"""Tags of words from logits of tokens, entities, and scores of both.

Entities are found and scored by seqeval in its default mode (`mode=None`), which is that of
CoNLL's `conlleval`: an I- that continues nothing, or something of another type, starts an entity.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from tasks.windows import Windows
from tasks.words.scheme import to_bioes

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
    without pieces, is tagged O, or with the first tag if none is called so.
    """
    tags = [["O" if "O" in labels else labels[0]] * count for count in words]
    for scores, word, example in zip(logits, windows.notes["word"], windows.example, strict=True):
        places = np.flatnonzero(word >= 0)
        for place, best in zip(word[places], scores[places].argmax(-1), strict=True):
            tags[example][place] = labels[best]
    return tags


def entity_f1(gold: TagLists, predicted: TagLists) -> float:
    """F1 of whole entities over all sentences and types; 0 where none are predicted or right."""
    from seqeval.metrics.sequence_labeling import f1_score  # scikit-learn takes a second to import

    lists = [list(map(to_bioes, tags)) for tags in (gold, predicted)]
    scores: Any = f1_score(*lists, average="micro", zero_division=0)  # type: ignore[arg-type]
    return float(scores)


def f1_without_o(gold: TagLists, predicted: TagLists) -> float:
    """F1 of the tags of words, all but O together; 0 where none is right."""
    pairs = [*zip(chain(*gold), chain(*predicted), strict=True)]
    right = sum(one == other != "O" for one, other in pairs)
    return 2 * right / max(1, sum((one != "O") + (other != "O") for one, other in pairs))


def find_entities(text: str, words: Sequence[tuple[int, int]], tags: Sequence[str]) -> list[Entity]:
    """The scored entities, in a text with the places where its words start and end."""
    found = []
    for kind, first, last in typed_spans(tags):
        start, end = words[first][0], words[last][1]
        found.append(Entity(kind, text[start:end], start, end))
    return found


def typed_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The type, the first and the last word of each entity."""
    from seqeval.metrics.sequence_labeling import get_entities

    return get_entities(to_bioes(tags))
