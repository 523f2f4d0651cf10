"""Whether a model can read what it is to be given."""

from typing import Any

from tokenizers import Tokenizer

from model.errors import InputError


def check_inputs(path: str, model: Any, tokenizer: Tokenizer, length: int) -> None:
    """Raises InputError unless a model has all pieces and positions that its windows may have.

    Args:
        path: of the model, for the message.
        model: from `model.pretrained.load`.
        tokenizer: what cuts the text into pieces.
        length: tokens of the longest window.
    """
    positions, vocabulary = model.config.max_positions, model.config.vocab_size
    if length > positions:
        raise InputError(
            f"--reading.max-length {length} is above the {positions} positions of {path}: give at "
            f"most {positions}"
        )
    if tokenizer.get_vocab_size() > vocabulary:
        raise InputError(
            f"{path} has a vocabulary of {vocabulary}, and the tokenizer beside it knows "
            f"{tokenizer.get_vocab_size()} pieces: they do not belong together"
        )
