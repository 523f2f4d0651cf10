"""Texts as windows of tokens, each by itself."""

from collections.abc import Sequence

import numpy as np

from data.vocabulary import Vocabulary
from model.errors import InputError
from tasks.texts.encode import Ids, token_ids
from tasks.windows import Windows


def token_rows(texts: Sequence[str], vocabulary: Vocabulary, length: int) -> tuple[list[Ids], int]:
    """[CLS] text [SEP] for each text, in at most `length` tokens, and how many were cut.

    Raises:
        InputError: there is no room for text.
    """
    room, special = length - 2, vocabulary.special
    if room < 1:
        raise InputError(f"a maximum length of {length} leaves no room for text: give 3 or more")
    cls, sep = (np.array([index], np.int32) for index in (special.cls, special.sep))
    rows, longer = [], 0
    for ids in token_ids(texts, vocabulary.tokenizer):
        longer += len(ids) > room
        rows.append(np.concatenate([cls, ids[:room], sep]))
    return rows, longer


def as_windows(rows: list[Ids], vocabulary: Vocabulary) -> Windows:
    """A window for each row of tokens, all of the first segment."""
    return Windows(
        input_ids=rows,
        example=np.arange(len(rows)),
        pad_id=vocabulary.special.pad,
        tokens={"token_type_ids": ([np.zeros_like(row) for row in rows], 0)},
    )
