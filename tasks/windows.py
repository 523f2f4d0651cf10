"""Examples as windows of tokens: ragged arrays, gathered into padded batches."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Int, Shaped

from model.errors import InputError

Column = Sequence[np.ndarray]


@dataclass(frozen=True)
class Remark:
    """Sentence on some of many examples."""

    count: int
    examples: int
    """How many there are in all."""
    what: str
    """What is to be said of those counted, such as "are longer than 128 tokens"."""

    def __str__(self) -> str:
        return f"{self.count:,} of {self.examples:,} {self.what}"


@dataclass(frozen=True)
class Windows:
    """Inputs of a model. A long example may have several windows, each with [CLS] and [SEP]."""

    input_ids: Column
    """int32 [tokens] of each window, [CLS] and [SEP] included, not padded; or [tokens, texts] of
    several texts side by side, the shorter ones padded. Not all need have as many texts: those
    with more than the fewest are then documents, of whose parts the last alone may be short."""
    example: Int[np.ndarray, " windows"]
    """The example of each window; the windows of an example follow each other."""
    pad_id: int
    tokens: Mapping[str, tuple[Column, float | int]] = field(default_factory=dict)
    """Further arrays that have an entry, or a row, for each token, by name, such as
    `token_type_ids` or `tags`, each with the value that fills it up behind the last token. Where
    texts are side by side, the `attention_mask` is one of them."""
    beside: Mapping[str, tuple[Column, int]] = field(default_factory=dict)
    """Arrays of another text that goes with each window and has a length of its own, such as the
    `target_ids` that are to be written, each with the value behind the last token."""
    values: dict[str, np.ndarray] = field(default_factory=dict)
    """Arrays that have an entry, or a row, for each window, such as `label`, `start` and `end`."""
    notes: dict[str, Column] = field(default_factory=dict)
    """Arrays that no model reads: for each token its `word`, or its `offsets` in the text."""
    remarks: tuple[Remark, ...] = ()
    """On text that did not fit: nothing is cut without a word."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @cached_property
    def lengths(self) -> Int[np.ndarray, " windows"]:
        return np.array([len(ids) for ids in self.input_ids], np.int64)

    @cached_property
    def sizes(self) -> Int[np.ndarray, " windows"]:
        """The tokens of each window and beside it, without the padding of texts side by side."""
        sizes = self.lengths
        if "attention_mask" in self.tokens:
            sizes = np.array([mask.sum() for mask in self.tokens["attention_mask"][0]], np.int64)
        return sizes + self._lengths_beside

    @cached_property
    def extents(self) -> Int[np.ndarray, " windows"]:
        """The least extent of a batch that holds each window and what is beside it.

        That is its length and, where some have more texts side by side than others, the longest
        length once more for every text above the fewest.
        """
        whole, part = self._proportion
        lengths = self.lengths + (self._texts - self._texts.min()) * whole
        return np.maximum(lengths, -(-self._lengths_beside * whole // part))

    @cached_property
    def _texts(self) -> Int[np.ndarray, " windows"]:
        """The number of texts side by side in each window."""
        return np.array([1 if ids.ndim == 1 else ids.shape[1] for ids in self.input_ids], np.int64)

    @cached_property
    def _lengths_beside(self) -> Int[np.ndarray, " windows"]:
        for column, _ in self.beside.values():
            return np.array([len(array) for array in column], np.int64)
        return np.zeros_like(self.lengths)

    @cached_property
    def _proportion(self) -> tuple[int, int]:
        """The longest window and the longest text beside one: batches grow in this proportion.

        So both lengths of a batch are known by one of them, and programs stay as few.
        """
        return int(self.lengths.max()), max(int(self._lengths_beside.max()), 1)

    def shape(self, extent: int) -> tuple[int, int]:
        """The length of the rows of a batch of this extent, and the texts side by side in each."""
        whole, _ = self._proportion
        fewest, most = int(self._texts.min()), int(self._texts.max())
        if fewest == most or extent <= whole:
            return extent, fewest
        return whole, min(fewest - (whole - extent) // whole, most)

    def gather(self, rows: Int[np.ndarray, " rows"], extent: int) -> dict[str, np.ndarray]:
        """These windows, padded to `extent`: all but the notes, and the `attention_mask`.

        What is beside them is padded to its length in proportion.
        """
        whole, part = self._proportion
        length, texts = self.shape(extent)
        columns = {"input_ids": (self.input_ids, self.pad_id), **self.tokens}
        batch = {"attention_mask": np.arange(length) < self.lengths[rows][:, None]}
        for name, (column, fill) in columns.items():
            wide = (texts,) if self.input_ids[0].ndim > 1 else column[0].shape[1:]
            batch[name] = _padded(column, fill, rows, (length, *wide))
        beside = (extent * part // whole,)
        batch |= {name: _padded(c, fill, rows, beside) for name, (c, fill) in self.beside.items()}
        return batch | {name: values[rows] for name, values in self.values.items()}


def side_by_side(
    columns: Sequence[Shaped[np.ndarray, " _tokens"]], texts: int, fill: float | int
) -> Shaped[np.ndarray, "longest texts"]:
    """The columns of several texts as one array; shorter and missing ones are filled up."""
    result = np.full((max(map(len, columns)), texts), fill, columns[0].dtype)
    for place, column in enumerate(columns):
        result[: len(column), place] = column
    return result


def check_text_room(length: int, least: int, what: str = "text") -> None:
    """Raises InputError for windows of so few tokens that none is left for what is to be read."""
    if length < least:
        raise InputError(
            f"windows of {length} tokens leave no room for {what}: give a --reading.max-length of "
            f"{least} or more"
        )


def too_long(count: int, examples: int, length: int, done: str) -> tuple[Remark, ...]:
    """The remark on so many examples that are longer than a window; none where they are none."""
    what = f"are longer than {length} tokens: {done}"
    return (Remark(count, examples, what),) if count else ()


def add_up(remarks: Iterable[Remark], examples: int) -> tuple[Remark, ...]:
    """The remarks on the parts of so many examples, as remarks on all of them."""
    counts: Counter[str] = Counter()
    for remark in remarks:
        counts[remark.what] += remark.count
    return tuple(Remark(count, examples, what) for what, count in counts.items())


def _padded(
    column: Column, fill: float | int, rows: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    result = np.full((len(rows), *shape), fill, column[0].dtype)
    for place, row in enumerate(rows):
        result[(place, *map(slice, column[row].shape))] = column[row]
    return result


Span = tuple[int, int]


def spans(tokens: int, room: int, step: int) -> list[Span]:
    """A span of `room` tokens every `step`, until one reaches the end.

    As in BERT's `run_squad.py`. A step above `room` would leave tokens out: it is then `room`.

    Returns:
        Where each span starts and ends; the one span (0, 0) for no tokens at all.
    """
    step = min(step, room)
    count = 1 + max(0, -(-(tokens - room) // step))
    return [(start, min(start + room, tokens)) for start in range(0, count * step, step)]


def most_context(tokens: int, parts: list[Span]) -> Int[np.ndarray, " tokens"]:
    """For each token the span that holds it with most tokens on the side where it has fewer.

    Among equals the earlier, as in BERT's `run_squad.py`.
    """
    place = np.arange(tokens)
    start, end = np.array(parts).T[..., None]
    fewer = np.minimum(place - start, end - 1 - place)
    return fewer.argmax(0)
