"""Texts and pairs of texts as windows of tokens."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int32
from tokenizers import Tokenizer

from data.corpora.text import Text
from data.tokenise import tokenise
from data.vocabulary import Vocabulary
from model.errors import InputError
from tasks.reading import Long, Reading
from tasks.texts.examples import TextExample
from tasks.windows import Windows, check_text_room, spans, too_long

Ids = Int32[np.ndarray, " _tokens"]  # each of a length of its own
_DONE = {
    "truncate": "their beginning is read",
    "head+tail": "their beginning and end are read",
    "windows": "read in several windows that share {} tokens",
}


def encode_texts(
    examples: Sequence[TextExample], vocabulary: Vocabulary, length: int, reading: Reading
) -> Windows:
    """[CLS] text [SEP], or [CLS] text [SEP] pair [SEP], in windows of at most `length` tokens.

    Of longer ones `truncate` keeps the beginning, of pairs as transformers does it (its
    `longest_first`); `head+tail` the beginning and the end (Sun et al. 2019: 128 and 382 of 510
    tokens, other lengths in that proportion); `windows` all, in several windows.

    Returns:
        Windows with `token_type_ids`, without labels.

    Raises:
        InputError: some examples have pairs and others not, pairs are to be cut otherwise than by
            `truncate`, or there is no room.
    """
    pairs = all_or_none([example.pair is not None for example in examples], "a second text")
    room, long = length - (3 if pairs else 2), reading.long
    check_text_room(length, 5 if pairs else 3)
    if long == "hierarchy":
        raise InputError("--reading.long hierarchy is for classification, and this learns no class")
    if pairs and long != "truncate":
        raise InputError(f"pairs of texts can be cut by truncate only, and {long} was asked for")
    overlap = reading.shared(room) if long == "windows" else 0
    tokenizer, special = vocabulary.tokenizer, vocabulary.special
    cls, sep = (np.array([index], np.int32) for index in (special.cls, special.sep))
    input_ids, types, members, longer = [], [], [], 0
    texts = token_ids([example.text for example in examples], tokenizer)
    others = token_ids([example.pair or "" for example in examples], tokenizer)
    for number, (text, other) in enumerate(zip(texts, others, strict=True)):
        longer += len(text) + len(other) > room
        if pairs:
            kept, kept_other = _longest_first(len(text), len(other), room)
            parts = [[cls, text[:kept], sep, other[:kept_other], sep]]
        else:
            parts = [[cls, part, sep] for part in _parts(text, room, long, overlap)]
        for part in parts:
            input_ids.append(np.concatenate(part))
            types.append((np.arange(len(input_ids[-1])) >= 2 + len(part[1])).astype(np.int32))
            members.append(number)
    return Windows(
        input_ids=input_ids,
        example=np.array(members, np.int64),
        pad_id=special.pad,
        tokens={"token_type_ids": (types, 0)},
        remarks=too_long(longer, len(examples), length, _DONE[long].format(overlap)),
    )


def token_ids(texts: Sequence[str], tokenizer: Tokenizer) -> Iterator[Ids]:
    """The ids of each text, without [CLS] and [SEP]."""
    pieces = []
    for batch in tokenise((Text(text, "") for text in texts), tokenizer):
        for piece, ids in batch:
            pieces.append(ids)
            if piece.ends_text:
                yield np.concatenate(pieces).astype(np.int32)
                pieces = []


def all_or_none(given: list[bool], what: str) -> bool:
    """True if the examples have it. Raises an InputError if only some do."""
    if any(given) and not all(given):
        raise InputError(
            f"{given.count(True)} of {len(given)} examples have {what}: either all have or none"
        )
    return any(given)


def _parts(text: Ids, room: int, long: Long, overlap: int) -> list[Ids]:
    if long == "windows":
        return [text[start:end] for start, end in spans(len(text), room, room - overlap)]
    if long == "head+tail" and len(text) > room:
        head = round(room * 128 / 510)
        return [np.concatenate([text[:head], text[len(text) - (room - head) :]])]
    return [text[:room]]


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """The tokens of each to keep: the longer is cut until both are equally long.

    Of an odd room the longer gets one more and, where they are equal, the second.
    """
    shorter = min(first, second, room // 2)
    longer = min(max(first, second), room - shorter)
    return (shorter, longer) if first <= second else (longer, shorter)
