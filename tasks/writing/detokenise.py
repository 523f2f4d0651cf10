"""Texts of the tokens that a model wrote."""

import re
from collections.abc import Sequence

import numpy as np

from data.vocabulary import Vocabulary

# WordPiece forgets where spaces were around punctuation. The tokenizer's own decoder restores those
# before full stops, commas and English contractions; these are written without, too.
_TIGHT = (
    (re.compile(r"(?<=\w) - (?=\w)"), "-"),  # compounds; a dash between words becomes one, too
    (re.compile(r"(?<=\w) ' (?=\w)"), "'"),
    (re.compile(r"(?<=\d) ?([.:]) (?=\d)"), r"\1"),  # 3.5 and 12:30
    (re.compile(r"(?<=\d), (?=\d{3}\b)"), ","),  # 1,000
    (re.compile(r"([(\[]) "), r"\1"),
    (re.compile(r" ([)\];:%])"), r"\1"),
    (re.compile(r"([$£€]) (?=\d)"), r"\1"),
)


def detokenise(vocabulary: Vocabulary, tokens: Sequence[np.ndarray]) -> list[str]:
    """The texts of ids, up to the first [SEP], as they are written in English and its like."""
    end = vocabulary.special.sep
    ids = [[int(token) for token in row] for row in tokens]
    ids = [row[: row.index(end)] if end in row else row for row in ids]
    texts = vocabulary.tokenizer.decode_batch(ids, skip_special_tokens=True)
    for pattern, replacement in _TIGHT:
        texts = [pattern.sub(replacement, text) for text in texts]
    return texts
