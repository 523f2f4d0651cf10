"""The words of a text, where no one has split it."""

from tokenizers import PreTokenizedString, Tokenizer

from data.spans import Span
from model.errors import InputError


def split_words(text: str, tokenizer: Tokenizer) -> list[Span]:
    """Where the words are that BERT splits a text into: `text[start:end]` of each.

    They stand between white space; punctuation, and each Chinese character, is a word of its own.

    Args:
        text: without halves of surrogate pairs.
        tokenizer: from `data.tokenizer.load_tokenizer`.
    """
    words = PreTokenizedString(text)
    # Cleaning and parting Chinese characters is all: composing accents would move the places.
    words.normalize(lambda part: tokenizer.normalizer[0].normalize(part))
    tokenizer.pre_tokenizer.pre_tokenize(words)
    return [span for _, span, _ in words.get_splits("original", "char")]


def check_text(text: str, place: str) -> None:
    """Raises InputError unless there is something to read in a text; `place` says which it is."""
    if not text.strip():
        raise InputError(f"{place} is empty: give a text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{place} is not UTF-8 text (character {error.start + 1})") from None
