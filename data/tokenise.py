"""Token ids of texts, computed on all cores in bounded memory."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from data.corpora.text import Text
from data.wordpiece import encodable

BATCH_CHARACTERS = 1_000_000  # tokenised at once; the library needs about 100 bytes for each
PIECE_CHARACTERS = 16_000  # longer texts are tokenised in pieces
_SPACE = re.compile(r"\s")
_ROW = re.compile(r":\d+$")


class Piece(NamedTuple):
    """A text, or a part of a long one."""

    text: str
    document: str
    ends_text: bool


class Encoded(NamedTuple):
    """A piece's token ids, without [CLS] and [SEP]."""

    piece: Piece
    ids: np.ndarray  # uint32 [tokens]


def tokenise(texts: Iterable[Text], tokenizer: Tokenizer) -> Iterator[list[Encoded]]:
    """The ids of all texts in order, in batches of about a million characters.

    A long text (a whole book in one row) comes in several pieces. They are cut at white space,
    where BERT splits anyway, so their ids are together those of the whole text. Neither memory nor
    the use of the cores then depends on how a corpus is divided into rows.
    """
    batch: list[Piece] = []
    characters = 0
    for piece in (piece for text in texts for piece in _pieces(text)):
        batch.append(piece)
        characters += len(piece.text)
        if characters >= BATCH_CHARACTERS:
            yield _encode_batch(batch, tokenizer)
            batch, characters = [], 0
    if batch:
        yield _encode_batch(batch, tokenizer)


def _pieces(text: Text) -> Iterator[Piece]:
    whole, start = encodable(text.text), 0
    while len(whole) - start > PIECE_CHARACTERS:
        space = _SPACE.search(whole, start + PIECE_CHARACTERS)
        if space is None:
            break
        yield Piece(whole[start : space.start()], text.document, False)
        start = space.start()
    yield Piece(whole[start:], text.document, True)


def _encode_batch(pieces: list[Piece], tokenizer: Tokenizer) -> list[Encoded]:
    encodings = tokenizer.encode_batch_fast([p.text for p in pieces], add_special_tokens=False)
    return [
        Encoded(piece, np.asarray(encoding.ids, np.uint32))
        for piece, encoding in zip(pieces, encodings, strict=True)
    ]


def join_neighbours(batches: Iterable[list[Encoded]], room: int) -> Iterator[list[Encoded]]:
    """The same ids, in texts that end where the next row would not fit into `room` tokens.

    Some corpora have a sentence in each row, in the order of a book: they become RoBERTa's full
    sentences (Liu et al. 2019, section 4.2). Rows are joined within one file or split; lines of
    files of which each is a document only within that document. A row that does not fit alone stays
    what it was.
    """
    waiting: Encoded | None = None  # the end of a text, unless the next row joins it
    used = 0
    for batch in batches:
        decided = []
        for piece, ids in batch:
            if waiting is not None:
                same = _origin(waiting.piece.document) == _origin(piece.document)
                joins = same and used + len(ids) <= room
                decided.append(_ending(waiting, not joins))
                used = used if joins else 0
                waiting = None
            used += len(ids)
            if piece.ends_text:
                waiting = Encoded(piece, ids)
            else:
                decided.append(Encoded(piece, ids))
        yield decided
    if waiting is not None:
        yield [waiting]


def _origin(document: str) -> str:
    """The file or split of a row, which is a document called `origin:number`; else the document."""
    return _ROW.sub("", document)


def _ending(encoded: Encoded, ends: bool) -> Encoded:
    return encoded._replace(piece=encoded.piece._replace(ends_text=ends))
