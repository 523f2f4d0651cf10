"""Documents as windows of tokens, a [CLS] before each sentence (Liu and Lapata 2019, figure 1)."""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from data.vocabulary import Vocabulary
from tasks.extractive.choose import Chosen, oracle
from tasks.extractive.examples import DocumentExample
from tasks.texts.encode import all_or_none, token_ids
from tasks.windows import Remark, Span, Windows, check_text_room, most_context, too_long


def encode_documents(
    examples: Sequence[DocumentExample], vocabulary: Vocabulary, length: int, most: int
) -> Windows:
    """[CLS] sentence [SEP] [CLS] sentence [SEP] ... in windows of at most `length` tokens.

    A window holds whole sentences; a sentence that is longer than a window is cut. The windows of a
    long document share about half of their tokens, and a sentence is predicted where it has most
    sentences around it. So nothing of a document is left out.

    Returns:
        Windows with `token_type_ids`, which are 0 and 1 for alternating sentences, and three int32
        arrays [tokens], with an entry at the [CLS] of each sentence. `sentence_tokens` is the
        number of its tokens, 0 elsewhere. For sentences that are predicted in this window, and -1
        elsewhere, the note `sentence` is the place in the document and, where there are summaries,
        `in_summary` is 1 if it belongs into one of at most `most` sentences, else 0.

    Raises:
        InputError: some documents have a summary and others not, or there is no room.
    """
    check_text_room(length, 3, "words")
    known = [right_places(example, most) for example in examples]
    summarised = all_or_none([places is not None for places in known], "a summary")
    special = vocabulary.special
    pieces = iter(token_ids([*chain(*(e.sentences for e in examples))], vocabulary.tokenizer))
    input_ids, types, lengths, marks, places, members = [], [], [], [], [], []
    cut = longer = 0
    for number, (example, right) in enumerate(zip(examples, known, strict=True)):
        whole = [next(pieces) for _ in example.sentences]
        cut += any(len(ids) > length - 2 for ids in whole)
        read = [np.array([special.cls, *i[: length - 2], special.sep], np.int32) for i in whole]
        parts = [*_parts([len(ids) for ids in read], length)]
        longer += len(parts) > 1
        owner = most_context(len(read), parts)
        for part, (start, end) in enumerate(parts):
            sizes = [len(ids) for ids in read[start:end]]
            here = np.arange(start, end)
            predicted = np.where(owner[start:end] == part, here, -1)
            right_here = np.where(predicted >= 0, np.isin(here, right or ()), -1)
            input_ids.append(np.concatenate(read[start:end]))
            types.append(np.repeat(here % 2, sizes).astype(np.int32))
            lengths.append(_at_starts(sizes, sizes, elsewhere=0))
            places.append(_at_starts(predicted, sizes))
            marks.append(_at_starts(right_here, sizes))
            members.append(number)
    remarks = too_long(longer, len(examples), length, "read in several windows")
    if cut:
        what = f"have a sentence of more than {length} tokens: its beginning is read"
        remarks += (Remark(cut, len(examples), what),)
    tokens = {"token_type_ids": (types, 0), "sentence_tokens": (lengths, 0)}
    return Windows(
        input_ids=input_ids,
        example=np.array(members, np.int64),
        pad_id=special.pad,
        tokens=tokens | ({"in_summary": (marks, -1)} if summarised else {}),
        notes={"sentence": places},
        remarks=remarks,
    )


def right_places(example: DocumentExample, most: int) -> Chosen | None:
    """The sentences that belong into a summary; None where no summary is known."""
    if example.chosen is not None or example.references is None:
        return example.chosen
    return oracle(example.sentences, example.references, most)


def _parts(sizes: Sequence[int], room: int) -> Iterator[Span]:
    """Spans of sentences that fill windows; the next begins in the second half of the one before.

    With every sentence no longer than `room`.
    """
    start = 0
    while True:
        ends = start + np.searchsorted(np.cumsum(sizes[start:]), room, side="right")
        end = int(ends)
        yield start, end
        if end == len(sizes):
            return
        half = start + int(np.searchsorted(np.cumsum(sizes[start:end]), room // 2, side="right"))
        start = max(half, start + 1)


def _at_starts(values: np.ndarray | list[int], sizes: list[int], elsewhere: int = -1) -> np.ndarray:
    """A value at the first token of each sentence."""
    tokens = np.full(sum(sizes), elsewhere, np.int32)
    tokens[np.cumsum([0, *sizes[:-1]])] = values
    return tokens
