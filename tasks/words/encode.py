"""Tagged words as windows of tokens, a tag at the first piece of each word."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int32
from tokenizers import PreTokenizedString, Tokenizer
from tokenizers.normalizers import BertNormalizer

from data.vocabulary import Vocabulary
from data.wordpiece import encodable
from model.errors import InputError
from tasks.reading import Reading
from tasks.texts.encode import all_or_none
from tasks.windows import Span, Windows, check_text_room, most_context, spans, too_long
from tasks.words.examples import TaggedExample
from tasks.words.scheme import IOB, find_scheme, to_iob2

Tokens = Int32[np.ndarray, " tokens"]
AT_ONCE = 1000  # sentences that are tokenised together


def encode_words(
    examples: Sequence[TaggedExample],
    vocabulary: Vocabulary,
    labels: tuple[str, ...],
    length: int,
    reading: Reading,
) -> Windows:
    """[CLS] words [SEP] in windows of at most `length` tokens, whatever the `reading`.

    The windows of a long sentence share half of their tokens. A word is predicted in one of them,
    where it is farthest from the borders, so that an entity never ends at one for want of context;
    in the other it is context only. So nothing is cut off. A word's ids are those it has alone; one
    of control characters only has none, and is in no window.

    Returns:
        Windows with `token_type_ids`, the note `word` (int32 [tokens]) and, where examples have
        tags, `tags` (int32 [tokens]): at the first piece of each word that is predicted there the
        word's place in the sentence and the tag's in `labels`, -1 elsewhere. Tags of IOB1 are
        learned as IOB2.

    Raises:
        InputError: a tag is none of `labels`, some examples have tags and others not, or there is
            no room.
    """
    room = length - 2
    check_text_room(length, 4, "words")
    tagged = all_or_none([example.tags is not None for example in examples], "tags")
    tokenizer, special = vocabulary.tokenizer, vocabulary.special
    input_ids, tags, words, members, longer = [], [], [], [], 0
    pieces = _pieces(examples, tokenizer)
    for number, (example, (ids, word)) in enumerate(zip(examples, pieces, strict=True)):
        by_word = _tags(example, labels)
        parts = spans(len(ids), room, room - room // 2)
        longer += len(parts) > 1
        chosen = most_context(len(ids), parts)
        for place, (start, end) in enumerate(parts):
            here = np.where(chosen[start:end] == place, word[start:end], -1)
            predicted = np.pad(here, 1, constant_values=-1)
            input_ids.append(np.array([special.cls, *ids[start:end], special.sep], np.int32))
            tags.append(by_word[predicted])
            words.append(predicted)
            members.append(number)
    types = [np.zeros(len(ids), np.int32) for ids in input_ids]
    return Windows(
        input_ids=input_ids,
        example=np.array(members, np.int64),
        pad_id=special.pad,
        tokens={"token_type_ids": (types, 0)} | ({"tags": (tags, -1)} if tagged else {}),
        notes={"word": words},
        remarks=too_long(longer, len(examples), length, "read in several windows"),
    )


def _pieces(
    examples: Sequence[TaggedExample], tokenizer: Tokenizer
) -> Iterator[tuple[Tokens, Tokens]]:
    """The ids of each sentence and, at the first piece of a word, its place; -1 elsewhere."""
    for first in range(0, len(examples), AT_ONCE):
        batch = [[encodable(w) for w in example.words] for example in examples[first:][:AT_ONCE]]
        encodings = tokenizer.encode_batch(batch, is_pretokenized=True, add_special_tokens=False)
        for encoding in encodings:
            word = np.array(encoding.word_ids, np.int32)
            first_piece = np.diff(word, prepend=-1) != 0
            yield np.array(encoding.ids, np.int32), np.where(first_piece, word, np.int32(-1))


def _tags(example: TaggedExample, labels: tuple[str, ...]) -> Int32[np.ndarray, " words_and_none"]:
    """The places of the tags in `labels`, and behind them, which is at -1, a -1 for no word."""
    unknown = sorted(set(example.tags or ()) - set(labels))
    if unknown:
        raise InputError(
            f"example {example.id}: the tag {unknown[0]} is none of {', '.join(labels)}"
        )
    places = {name: place for place, name in enumerate(labels)}
    tags = example.tags or ("",) * len(example.words)
    if find_scheme(labels) == IOB:
        tags = to_iob2(tags)
    return np.array([*(places.get(tag, -1) for tag in tags), -1], np.int32)


def split_words(text: str, tokenizer: Tokenizer) -> list[Span]:
    """The places of the words that BERT splits a text into: `text[start:end]` of each.

    They are separated by white space; punctuation, each Chinese character and each added token is a
    word of its own. The text has no halves of surrogate pairs.
    """
    encoding = tokenizer.encode(text, add_special_tokens=False)
    added = tokenizer.get_added_tokens_decoder().keys() - {tokenizer.token_to_id("[UNK]")}
    words, end = [], 0
    for index, (first, last) in zip(encoding.ids, encoding.offsets, strict=True):
        if index in added:
            words += [*_words_between(text, end, first, tokenizer), (first, last)]
            end = last
    return [*words, *_words_between(text, end, len(text), tokenizer)]


def _words_between(text: str, start: int, end: int, tokenizer: Tokenizer) -> list[Span]:
    # Cleaning and parting Chinese characters is all: a letter would lose its accent.
    chinese = getattr(tokenizer.normalizer, "handle_chinese_chars", True)
    clean = BertNormalizer(True, chinese, strip_accents=False, lowercase=False)
    words = PreTokenizedString(text[start:end])
    words.normalize(lambda part: clean.normalize(part))
    tokenizer.pre_tokenizer.pre_tokenize(words)
    splits = words.get_splits("original", "char")
    return [(start + first, start + last) for _, (first, last), _ in splits]


def check_text(text: str, place: str) -> None:
    """Raises InputError unless there is something to read in a text; `place` says which it is."""
    if not text.strip():
        raise InputError(f"{place} is empty: give a text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{place} is not UTF-8 text (character {error.start + 1})") from None
