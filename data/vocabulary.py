"""A vocabulary: its tokenizer, and what is derived from it once."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from model.decoder.settings import GenerationConfig
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
        """The pieces, by id; an id without a piece, a blank line in a vocab.txt, has ""."""
        by_id = {index: piece for piece, index in self.tokenizer.get_vocab().items()}
        return tuple(by_id.get(index, "") for index in range(max(by_id) + 1))

    @property
    def size(self) -> int:
        """The number of ids, from 0 to that of the last piece."""
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

    def generation(self, rows: int, **settings: Any) -> GenerationConfig:
        """The settings of generation in this vocabulary: texts of its tokens, without [UNK].

        Args:
            rows: the word embeddings of the model; those without a token are never chosen.
            settings: other fields of `GenerationConfig`.
        """
        special, pieces = self.special, self.pieces
        unread = [index for index in range(rows) if index >= self.size or not pieces[index]]
        never = {*special, *unread} - {special.sep}
        return GenerationConfig(
            special.cls, special.sep, special.pad, tuple(sorted(never)), **settings
        )

    def check_rows(self, rows: int, model: str) -> tuple[str, ...]:
        """A remark if a model has more word embeddings than there are ids.

        Many models have some more, so that their number divides well. They stay as they are.

        Raises:
            InputError: it has fewer: some pieces would have no embedding.
        """
        if rows < self.size:
            raise InputError(
                f"{model} has {rows} word embeddings and its tokenizer {self.size} ids: there is "
                f"none for {self.pieces[rows]!r} and what follows, so they do not belong together"
            )
        if rows == self.size:
            return ()
        return (
            f"{model} has {rows} word embeddings and its tokenizer {self.size} ids: the last "
            f"{rows - self.size} are never read",
        )

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
