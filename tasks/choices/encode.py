"""Contexts with each of their choices as windows of tokens, and the place of the right choice."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from data.vocabulary import Vocabulary
from model.errors import InputError
from tasks.choices.examples import ChoiceExample
from tasks.reading import Reading
from tasks.texts.encode import all_or_none, token_ids
from tasks.windows import Windows, check_text_room, side_by_side, too_long


def encode_choices(
    examples: Sequence[ChoiceExample],
    vocabulary: Vocabulary,
    labels: tuple[str, ...],
    length: int,
    reading: Reading,
) -> Windows:
    """[CLS] context [SEP] choice [SEP], of all choices of an example side by side in one window.

    Where both are longer than `length` tokens together, the context loses its end: the choices are
    what is compared. Only a choice that is too long alone is cut too. There are no `labels`.

    Returns:
        Windows whose arrays have an entry for each choice in the second axis, [tokens, choices], as
        many as the example with most choices has: `input_ids`, `token_type_ids` (0 for the context,
        1 for the choice) and `attention_mask` (all false for a choice that is not there). Where the
        right choices are known, `label`: int32 [windows], the place of each.

    Raises:
        InputError: some examples have labels and others not, there is no room, or texts are to be
            cut otherwise than by `truncate`.
    """
    room = length - 3
    check_text_room(length, 5)
    if reading.long != "truncate":
        raise InputError(
            f"contexts of choices can be cut by truncate only, and {reading.long} was asked for"
        )
    labelled = all_or_none([example.label is not None for example in examples], "a label")
    tokenizer, special = vocabulary.tokenizer, vocabulary.special
    contexts = token_ids([example.context for example in examples], tokenizer)
    texts = token_ids([text for example in examples for text in example.choices], tokenizer)
    most = max((len(example.choices) for example in examples), default=0)
    input_ids, types, masks, longer = [], [], [], 0
    for example, context in zip(examples, contexts, strict=True):
        choices = list(islice(texts, len(example.choices)))
        longer += len(context) + max(map(len, choices)) > room
        ids, second = [], []
        for choice in choices:
            ending = [*choice[:room], special.sep]
            start = [special.cls, *context[: room + 1 - len(ending)], special.sep]
            ids.append(np.array(start + ending, np.int32))
            second.append(np.repeat(np.array([0, 1], np.int32), [len(start), len(ending)]))
        input_ids.append(side_by_side(ids, most, special.pad))
        types.append(side_by_side(second, most, 0))
        masks.append(side_by_side([np.ones(len(each), bool) for each in ids], most, False))
    label = np.array([example.label for example in examples], np.int32) if labelled else None
    return Windows(
        input_ids=input_ids,
        example=np.arange(len(examples)),
        pad_id=special.pad,
        tokens={"token_type_ids": (types, 0), "attention_mask": (masks, False)},
        values={} if label is None else {"label": label},
        remarks=too_long(
            longer, len(examples), length, "their contexts lose what does not fit before a choice"
        ),
    )
