"""Documents whose windows lie side by side, for a model that reads all of them together."""

from collections.abc import Sequence

import numpy as np

from data.vocabulary import Vocabulary
from model.errors import InputError
from tasks.texts.encode import all_or_none, token_ids
from tasks.texts.examples import TextExample
from tasks.windows import Remark, Windows, side_by_side, spans, too_long


def encode_side_by_side(
    examples: Sequence[TextExample],
    vocabulary: Vocabulary,
    length: int,
    overlap: int,
    most: int,
) -> Windows:
    """[CLS] part [SEP] of at most `length` tokens, of all parts of a document side by side.

    Neighbours share `overlap` tokens. Of a document with more than `most` parts the first are read.

    Returns:
        Windows, one for each document, whose arrays have an entry for each part in the second axis,
        [tokens, parts]: `input_ids`, `token_type_ids` (all 0) and `attention_mask`.

    Raises:
        InputError: examples have second texts.
    """
    if all_or_none([example.pair is not None for example in examples], "a second text"):
        raise InputError("--reading.long hierarchy is for single texts, and these are pairs")
    special, room = vocabulary.special, length - 2
    documents, longer, cut = [], 0, 0
    for ids in token_ids([example.text for example in examples], vocabulary.tokenizer):
        parts = spans(len(ids), room, room - overlap)
        longer, cut = longer + (len(parts) > 1), cut + (len(parts) > most)
        documents.append(
            [np.array([special.cls, *ids[a:b], special.sep], np.int32) for a, b in parts[:most]]
        )
    input_ids = [side_by_side(parts, len(parts), special.pad) for parts in documents]
    masks = [
        side_by_side([np.ones(len(ids), bool) for ids in parts], len(parts), False)
        for parts in documents
    ]
    done = f"read in up to {most} windows that share {overlap} tokens"
    remarks = too_long(longer, len(examples), length, done)
    if cut:
        what = f"have more than {most} windows: their beginning is read (--reading.most-windows)"
        remarks += (Remark(cut, len(examples), what),)
    return Windows(
        input_ids=input_ids,
        example=np.arange(len(examples)),
        pad_id=special.pad,
        tokens={
            "token_type_ids": ([np.zeros_like(ids) for ids in input_ids], 0),
            "attention_mask": (masks, False),
        },
        remarks=remarks,
    )
