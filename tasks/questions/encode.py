"""Questions with their contexts as windows of tokens, and where the answer is."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32
from tokenizers import Tokenizer

from data.tokenise import BATCH_CHARACTERS
from data.vocabulary import Vocabulary
from model.errors import InputError
from tasks.questions.examples import Answer, QuestionExample
from tasks.reading import Reading
from tasks.texts.encode import all_or_none, token_ids
from tasks.windows import Remark, Span, Windows, most_context, spans, too_long

Offsets = Int32[np.ndarray, "tokens 2"]


class Context(NamedTuple):
    """A tokenised context."""

    ids: Int32[np.ndarray, " tokens"]
    offsets: Offsets
    """The start and end of each token in the original string, in characters."""


def encode_questions(
    examples: Sequence[QuestionExample],
    vocabulary: Vocabulary,
    labels: tuple[str, ...],
    length: int,
    reading: Reading,
) -> Windows:
    """[CLS] question [SEP] part of the context [SEP], as in BERT's `run_squad.py`.

    A window has at most `length` tokens; there are no `labels`.

    Returns:
        Windows with `token_type_ids`; `context` (bool [tokens]: the context's tokens); the notes
        `offsets` (int32 [tokens, 2]: where a token of the context starts and ends in its original
        characters, -1 elsewhere) and `most_context` (bool [tokens]: no other window shows more
        around this token of the context); and, where examples have answers, `start` and `end`
        (int32 [windows]): the first and the last token of the first answer if it lies wholly in the
        window, else 0, which is [CLS] and means that there is no answer.

    Raises:
        InputError: some examples have answers and others not, or there is no room for the context.
    """
    doc_stride, max_question = reading.doc_stride, reading.question(length)
    if max_question < 1 or doc_stride < 1 or length < max_question + 4:
        raise InputError(
            f"questions of {max_question} tokens and windows of {length} every {doc_stride} do "
            f"not go together: give 1 or more each, and 4 more for a window than for a question"
        )
    answered = all_or_none([example.answers is not None for example in examples], "answers")
    tokenizer, special = vocabulary.tokenizer, vocabulary.special
    contexts = _contexts((example.context for example in examples), tokenizer)
    questions = token_ids([example.question for example in examples], tokenizer)
    columns: dict[str, list] = defaultdict(list)
    longer = cut_questions = lost = 0
    for number, (example, whole) in enumerate(zip(examples, questions, strict=True)):
        question, context = whole[:max_question], contexts[example.context]
        before = len(question) + 2  # [CLS] question [SEP]
        parts = spans(len(context.ids), length - before - 1, doc_stride)
        chosen = most_context(len(context.ids), parts)
        answer = _tokens_of(example.answers[0], context) if example.answers else None
        held = [answer is not None and s <= answer[0] and answer[1] <= e for s, e in parts]
        longer += len(parts) > 1
        cut_questions += len(whole) > max_question
        lost += bool(example.answers) and not any(held)
        for place, (start, end) in enumerate(parts):
            ids = [[special.cls], question, [special.sep], context.ids[start:end], [special.sep]]
            around = (before, 1)
            shift = before - start
            window = {
                "example": number,
                "input_ids": np.concatenate(ids).astype(np.int32),
                "token_type_ids": np.repeat(np.array([0, 1], np.int32), [before, end - start + 1]),
                "context": np.pad(np.ones(end - start, bool), around),
                "most_context": np.pad(chosen[start:end] == place, around),
                "offsets": np.pad(context.offsets[start:end], (around, (0, 0)), constant_values=-1),
                "start": answer[0] + shift if answer and held[place] else 0,
                "end": answer[1] - 1 + shift if answer and held[place] else 0,
            }
            for name, value in window.items():
                columns[name].append(value)
    remarks = [*too_long(longer, len(examples), length, "read in several windows")]
    more = {
        f"questions are cut to {max_question} tokens": cut_questions,
        "have an answer that lies wholly in no window, and cannot be learned": lost,
    }
    remarks += (Remark(count, len(examples), what) for what, count in more.items() if count)
    return Windows(
        input_ids=columns["input_ids"],
        example=np.array(columns["example"], np.int64),
        pad_id=special.pad,
        tokens={
            "token_type_ids": (columns["token_type_ids"], 0),
            "context": (columns["context"], False),
        },
        values={name: np.array(columns[name], np.int32) for name in ("start", "end") if answered},
        notes={name: columns[name] for name in ("offsets", "most_context")},
        remarks=tuple(remarks),
    )


def _contexts(texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, Context]:
    """Each different context once: many questions are asked about the same."""
    different = list(dict.fromkeys(texts))
    batch = np.cumsum([len(text) for text in different]) // BATCH_CHARACTERS
    contexts = {}
    for _, group in groupby(zip(batch, different, strict=True), key=lambda pair: pair[0]):
        here = [text for _, text in group]
        # BERT drops halves of surrogate pairs as it drops U+FFFD, which leaves offsets as they are.
        clean = [re.sub("[\ud800-\udfff]", "\ufffd", text) for text in here]
        encodings = tokenizer.encode_batch(clean, add_special_tokens=False)
        for text, encoding in zip(here, encodings, strict=True):
            offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
            ids = np.array(encoding.ids, np.int32)
            contexts[text] = Context(ids, _whole_characters(text, offsets))
    return contexts


def _whole_characters(text: str, offsets: Offsets) -> Offsets:
    """The offsets, with ends moved behind the marks that belong to a token's last character.

    When BERT's tokenizer composes a letter and its marks, or strips these, only the letter's own
    place is left; an answer is to end with the whole character, as a reader sees it.
    """
    marks = [unicodedata.category(c)[0] == "M" or "\u1160" <= c <= "\u11ff" for c in text]
    if not any(marks):
        return offsets
    places = np.where([*marks, False], len(text), np.arange(len(text) + 1))
    behind_marks = np.minimum.accumulate(places[::-1])[::-1]
    starts, ends = offsets.T
    next_start = np.append(starts[1:], len(text))
    whole = np.maximum(ends, np.minimum(behind_marks[ends], next_start))
    return np.stack([starts, whole], axis=1).astype(np.int32)


def _tokens_of(answer: Answer, context: Context) -> Span | None:
    """The first token of the answer and the one behind its last; None if it has no tokens."""
    starts, ends = context.offsets.T
    first = int(np.searchsorted(ends, answer.start, side="right"))
    last = int(np.searchsorted(starts, answer.start + len(answer.text), side="left"))
    return (first, last) if first < last else None
