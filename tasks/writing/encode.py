"""Texts that are read and texts that are to be written, as windows of tokens."""

from collections.abc import Sequence

import numpy as np

from data.vocabulary import Vocabulary
from model.errors import InputError
from tasks.reading import Reading
from tasks.texts.encode import encode_texts, token_ids
from tasks.texts.examples import TextExample
from tasks.windows import Windows, too_long


def encode_sources(
    ids: Sequence[str],
    sources: Sequence[str],
    targets: Sequence[str] | None,
    vocabulary: Vocabulary,
    length: int,
    most: int,
    reading: Reading,
) -> Windows:
    """[CLS] source [SEP] in windows of at most `length` tokens, each with its target beside it.

    Args:
        ids: of the examples.
        sources: what is read; of longer ones the beginning, or the beginning and the end.
        targets: what is to be written; None where that is not known.
        vocabulary: of both.
        length: tokens of a window.
        most: tokens of a target, with [CLS] and [SEP]; longer ones are cut, and do not end.
        reading: how long sources are cut.

    Returns:
        Windows with `token_type_ids` and, beside them, `target_ids` (int32): [CLS] target [SEP],
        filled up with -1.

    Raises:
        InputError: there is no room, a source has no tokens, or sources are to be read in several
            windows.
    """
    if reading.long not in ("truncate", "head+tail"):
        raise InputError(
            f"--reading.long {reading.long}: a text is written from one window, so longer ones are "
            "cut, by truncate or head+tail"
        )
    if most < 3:
        raise InputError(f"--reading.max-target {most} leaves no room for a word: give at least 3")
    texts = [TextExample(name, source) for name, source in zip(ids, sources, strict=True)]
    windows = encode_texts(texts, vocabulary, length, reading)
    for text, tokens in zip(texts, windows.lengths, strict=True):
        if tokens <= 2:
            raise InputError(
                f"the source of {text.id} has no token of the vocabulary, {text.text!r:.60}: leave "
                "it out"
            )
    if targets is None:
        return windows
    special, written, longer = vocabulary.special, [], 0
    for tokens in token_ids(targets, vocabulary.tokenizer):
        whole = np.array([special.cls, *tokens, special.sep], np.int32)
        longer += len(whole) > most
        written.append(whole[:most])
    remarks = too_long(longer, len(texts), most, "of these targets the beginning is learned")
    return Windows(
        windows.input_ids,
        windows.example,
        windows.pad_id,
        windows.tokens,
        beside={"target_ids": (written, -1)},
        remarks=(*windows.remarks, *remarks),
    )
