"""A vocabulary: its tokenizer, and what is derived from it once."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tokenizers import Tokenizer

from model.errors import InputError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class SpecialIds(NamedTuple):
    """Ids of the tokens that are not text, in the order of `SPECIAL_TOKENS`."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer that knows the five special tokens, with its pieces and ids."""

    tokenizer: Tokenizer
    """Is never changed: what follows is derived from it once."""

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The pieces, by id."""
        by_id = {index: piece for piece, index in self.tokenizer.get_vocab().items()}
        return tuple(by_id[index] for index in sorted(by_id))

    @property
    def size(self) -> int:
        """The number of pieces."""
        return len(self.pieces)

    @cached_property
    def special(self) -> SpecialIds:
        """Ids of [PAD], [UNK], [CLS], [SEP] and [MASK]."""
        pieces = self.tokenizer.get_vocab()
        return SpecialIds(*(pieces[token] for token in SPECIAL_TOKENS))

    @cached_property
    def fingerprint(self) -> str:
        """A hexadecimal digest of everything that decides which ids a text gets."""
        return hashlib.sha256(self.tokenizer.to_str().encode()).hexdigest()

    def check_teacher(self, teacher: "Vocabulary") -> None:
        """Raises an InputError that names the first token in which a teacher's vocabulary differs.

        Equal sizes prove nothing: distillation compares two distributions token by token.
        """
        for index, (theirs, ours) in enumerate(zip(teacher.pieces, self.pieces, strict=False)):
            if ours != theirs:
                raise InputError(
                    f"teacher and student need the same vocabulary, but token {index} is "
                    f"{theirs!r} for the teacher and {ours!r} for the student: give the student "
                    f"the teacher's"
                )
        if teacher.size != self.size:
            raise InputError(
                f"teacher and student need the same vocabulary, but the teacher's has "
                f"{teacher.size} tokens and the student's {self.size}: give the student the "
                f"teacher's"
            )
