"""The choice of the held-out text, made without first reading all of a corpus."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from typing import Literal

from data.corpora.text import Text
from model.errors import InputError

Split = Literal["train", "heldout"]
HeldOutPart = Literal["all", "selection", "reporting"]

# With fewer documents than this a whole one would be too much or too little to hold out.
_ENOUGH_DOCUMENTS = 20
_LONGEST_BLOCK = 1000


@lru_cache  # called for every text of a document
def position(name: str) -> float:
    """A fixed number for each name; the numbers are spread evenly over [0, 1)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


@dataclass(frozen=True)
class Division:
    """The documents, or blocks of lines where documents are few, that are held out by a hash."""

    share: float
    block: int | None
    """Lines in a block; None: whole documents."""
    always: str
    """The document or block that is held out whatever the share."""

    def texts(self, everything: Iterable[Text], split: Split) -> Iterator[Text]:
        """The texts of a split out of `everything`, all texts of the corpus in order."""
        for number, text in enumerate(everything):
            unit = text.document if self.block is None else f"block {number // self.block}"
            if (unit == self.always or position(unit) < self.share) == (split == "heldout"):
                yield text


def choose_division(read: Callable[[], Iterator[Text]], share: float, name: str) -> Division:
    """A division of all texts of a corpus, which `read` yields in order; no side of it is empty.

    Reads until it has found 20 documents, or to the end when there are fewer. Of these documents
    (or of all blocks) the one with the smallest hash is held out whatever the share.

    Raises:
        InputError: the corpus `name` has one line or none.
    """
    names = (name for name, _ in groupby(text.document for text in read()))
    documents = list(islice(names, _ENOUGH_DOCUMENTS))
    block = None
    if len(documents) < _ENOUGH_DOCUMENTS:
        lines = sum(1 for _ in read())
        if lines < 2:
            raise InputError(
                f"{name} holds {'one line' if lines else 'no lines'} of text, too little to hold "
                "some of it out: give more text, or text to evaluate on with --data.heldout"
            )
        block = min(_LONGEST_BLOCK, -(-lines // _ENOUGH_DOCUMENTS))
        documents = [f"block {number}" for number in range(-(-lines // block))]
    return Division(share, block, always=min(documents, key=position))


def part_of(read: Callable[[], Iterator[Text]], part: HeldOutPart, name: str) -> Iterator[Text]:
    """The texts of a part of the held-out text of a corpus, all of which `read` yields in order.

    `selection` and `reporting` have every second document each, or block of lines where documents
    are few: neighbours are alike, so the halves are too.

    Raises:
        InputError: there is one line or none.
    """
    if part == "all":
        yield from read()
        return
    block = choose_division(read, 0.5, f"the held-out text of {name}").block
    unit, before = -1, None
    for number, text in enumerate(read()):
        if block is not None:
            unit = number // block
        elif text.document != before:
            unit, before = unit + 1, text.document
        if unit % 2 == (part == "reporting"):
            yield text
