"""Texts as windows of tokens: each by itself, or a query and its documents side by side."""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from data.vocabulary import Vocabulary
from tasks.embeddings.examples import PairExample
from tasks.texts.encode import Ids, all_or_none, token_ids
from tasks.windows import Windows, check_text_room, side_by_side, too_long

ABSENT = -1
"""The number of a document that is not there."""
_CUT = "their beginning is read"


def token_rows(texts: Sequence[str], vocabulary: Vocabulary, length: int) -> tuple[list[Ids], int]:
    """[CLS] text [SEP] for each text, in at most `length` tokens, and how many were cut.

    Raises:
        InputError: there is no room for text.
    """
    room, special = length - 2, vocabulary.special
    check_text_room(length, 3)
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


def encode_pairs(
    examples: Sequence[PairExample],
    vocabulary: Vocabulary,
    length: int,
    query_length: int | None = None,
) -> Windows:
    """The query, the document and the negatives of each example side by side in one window.

    Each text is cut behind `length` tokens, and a query behind `query_length`, if that is less.

    Returns:
        Windows whose arrays have an entry for each text in the second axis, [tokens, 2 + most
        negatives]: `input_ids` and `attention_mask` (all false for a negative that is not there).
        The documents are numbered, alike ones alike: `documents`, int32 [windows, 1 + most
        negatives], `ABSENT` where there is none; `right`, int32 [windows, most], are all that are
        right for the query, as the rows with the same text or key have them. Where examples have
        scores, `score`: float32 [windows].

    Raises:
        InputError: some examples have scores and others not, or there is no room for text.
    """
    scored = all_or_none([example.score is not None for example in examples], "a score")
    texts = [[example.document, *example.negatives] for example in examples]
    shorter = min(query_length or length, length)
    queries, longer_queries = token_rows([e.query for e in examples], vocabulary, shorter)
    rows, longer = token_rows([text for each in texts for text in each], vocabulary, length)
    most = 1 + max(map(len, texts))
    input_ids, masks, remaining = [], [], iter(rows)
    for query, each in zip(queries, texts, strict=True):
        parts = [query, *islice(remaining, len(each))]
        input_ids.append(side_by_side(parts, most, vocabulary.special.pad))
        masks.append(side_by_side([np.ones(len(part), bool) for part in parts], most, False))
    numbers: dict[str, int] = {}
    documents = [[numbers.setdefault(text, len(numbers)) for text in each] for each in texts]
    right: dict[str, dict[int, None]] = {}
    for example, (number, *_) in zip(examples, documents, strict=True):
        right.setdefault(example.group, {})[number] = None
    values = {
        "documents": _filled(documents),
        "right": _filled([right[example.group] for example in examples]),
    }
    if scored:
        values["score"] = np.array([example.score for example in examples], np.float32)
    return Windows(
        input_ids=input_ids,
        example=np.arange(len(examples)),
        pad_id=vocabulary.special.pad,
        tokens={"attention_mask": (masks, False)},
        values=values,
        remarks=(
            *too_long(longer_queries, len(queries), shorter, f"as queries {_CUT}"),
            *too_long(longer, len(rows), length, f"as documents {_CUT}"),
        ),
    )


def _filled(lists: Sequence[Iterable[int]]) -> np.ndarray:
    """The lists as rows of int32, the shorter ones filled up with `ABSENT`."""
    rows = [list(each) for each in lists]
    result = np.full((len(rows), max(map(len, rows))), ABSENT, np.int32)
    for place, row in enumerate(rows):
        result[place, : len(row)] = row
    return result
