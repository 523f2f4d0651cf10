"""A tokenizer with a piece for every character, so that tests can count tokens."""

import string

from tokenizers import Tokenizer

from data.wordpiece import SPECIAL_TOKENS, Casing, bert_tokenizer

CHARACTERS = string.ascii_letters + string.digits + ".,?'-éΣσς日本語"


def speller(*words: str, lowercase: bool = False) -> Tokenizer:
    """`words` are pieces too, and longer pieces go first."""
    continued = ["##" + character for character in CHARACTERS]
    pieces = [*SPECIAL_TOKENS, *CHARACTERS, *continued, *words]
    ids = {piece: index for index, piece in enumerate(pieces)}
    return bert_tokenizer(ids, Casing(lowercase=lowercase))


def spelled(tokenizer: Tokenizer, ids) -> str:
    """The pieces behind the ids, joined."""
    return "".join((tokenizer.id_to_token(int(i)) or "").removeprefix("##") for i in ids)
