"""Texts to score: their tokens, their words and their characters, and the windows to read them in.

The tokens that count are those of the text: not [CLS] and [SEP], and not [UNK], which has a
probability without saying what it stands for. The characters that count are those of the text with
one space for each stretch of white space, without those of its [UNK]s. So they are the same for all
vocabularies that know all of its words.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32

from data.corpora.text import Text
from data.vocabulary import SpecialIds, Vocabulary
from data.wordpiece import encodable

SEED = 0


class TokenisedText(NamedTuple):
    """A text to score."""

    document: str
    ids: Int32[np.ndarray, " tokens"]
    """Without [CLS] and [SEP]."""
    words: Int32[np.ndarray, " tokens"]
    """The number of the word that each token is a piece of."""
    counted: Bool[np.ndarray, " tokens"]
    characters: int

    @property
    def count(self) -> int:
        """The tokens that count."""
        return int(self.counted.sum())


class ReadingWindow(NamedTuple):
    """A part of a text as a model reads it."""

    text: int
    """The index of its text."""
    ids: Int32[np.ndarray, " length"]
    """From [CLS] to [SEP]."""
    words: Int32[np.ndarray, " length"]
    """-1 for these two."""
    counted: Bool[np.ndarray, " length"]
    """True for the tokens that are scored in this window."""


def choose_texts(
    texts: Iterable[Text], vocabulary: Vocabulary, tokens: int | None
) -> list[TokenisedText]:
    """Whole texts, drawn in an order that is always the same until `tokens` of them count.

    Those without a token that counts are left out; the last text may go beyond the limit.
    """
    found = list(texts)
    chosen, count = [], 0
    for index in np.random.default_rng(SEED).permutation(len(found)).tolist():
        if tokens is not None and count >= tokens:
            break
        text = tokenise_text(found[index], vocabulary)
        if text.count:
            chosen.append(text)
            count += text.count
    return chosen


def tokenise_text(text: Text, vocabulary: Vocabulary) -> TokenisedText:
    """The tokens of a text and what counts of it."""
    plain = " ".join(encodable(text.text).split())
    encoding = vocabulary.tokenizer.encode(plain, add_special_tokens=False)
    ids = np.asarray(encoding.ids, np.int32)
    # Tokens without a word, such as a [MASK] that is written in the text, are words of their own.
    words = [len(plain) + at if word is None else word for at, word in enumerate(encoding.word_ids)]
    counted = ~np.isin(ids, list(vocabulary.special))
    unknown = ids == vocabulary.special.unk
    unread = sum(end - start for start, end in np.asarray(encoding.offsets)[unknown].tolist())
    return TokenisedText(
        text.document, ids, np.asarray(words, np.int32), counted, len(plain) - unread
    )


def reading_windows(
    texts: list[TokenisedText], special: SpecialIds, length: int
) -> Iterator[ReadingWindow]:
    """The windows of all texts, of up to `length` tokens with [CLS] and [SEP].

    A longer text is read in windows that overlap by half, and a token is scored in the first window
    that has it: so it has at least half a window of text before it.
    """
    room = length - 2
    for number, text in enumerate(texts):
        last = max(len(text.ids) - room, 0)
        starts = [*range(0, last, max(room // 2, 1)), last]
        for before, start in pairwise([-room, *starts]):
            part = slice(start, start + room)
            new = np.arange(len(text.ids))[part] >= before + room
            yield ReadingWindow(
                number,
                _bordered(text.ids[part], special.cls, special.sep),
                _bordered(text.words[part], -1, -1),
                _bordered(text.counted[part] & new, False, False),
            )


def _bordered(values: np.ndarray, first: int, last: int) -> np.ndarray:
    return np.concatenate([[first], values, [last]]).astype(values.dtype)
