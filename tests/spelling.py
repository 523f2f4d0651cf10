"""A vocabulary with a piece for every character, so that tests can count tokens."""

import string

from data.vocabulary import SPECIAL_TOKENS, Vocabulary
from data.wordpiece import Casing, bert_vocabulary

CHARACTERS = string.ascii_letters + string.digits + ".,?'-éΣσς日本語"


def speller(*words: str, lowercase: bool = False) -> Vocabulary:
    """`words` are pieces too, and longer pieces go first."""
    continued = ["##" + character for character in CHARACTERS]
    pieces = [*SPECIAL_TOKENS, *CHARACTERS, *continued, *words]
    ids = {piece: index for index, piece in enumerate(pieces)}
    return bert_vocabulary(ids, Casing(lowercase=lowercase))


def spelled(vocabulary: Vocabulary, ids) -> str:
    """The pieces behind the ids, joined."""
    return "".join(vocabulary.pieces[int(i)].removeprefix("##") for i in ids)
