"""The settings of generation that belong to a model, as in its generation_config.json."""

from dataclasses import dataclass
from typing import Annotated

from model.ranges import Range, check_settings

TokenId = Annotated[int, Range(0, 10**7)]
Beams = Annotated[int, Range(1, 1000)]
LengthPenalty = Annotated[float, Range(-100, 100)]
NewTokens = Annotated[int, Range(1, 10**6)]


@dataclass(frozen=True)
class GenerationConfig:
    """The tokens around a generated text, and the defaults of the search for it.

    Raises:
        InputError: a number is out of its range.
    """

    start: TokenId
    """The token before the text, which a decoder reads first: [CLS]."""
    end: TokenId
    """The token that ends it: [SEP]."""
    pad: TokenId = 0
    """The token behind the end, where another text of the batch is longer."""
    suppressed: tuple[int, ...] = ()
    """Tokens that are never generated, such as [UNK] and [MASK]."""
    max_new_tokens: NewTokens = 64
    """The most tokens of a text, its end included."""
    beams: Beams = 1
    """Texts that are searched side by side; 1: the most probable token each time."""
    length_penalty: LengthPenalty = 1.0
    """Power of the length that divides the score of a finished text; above 0, long ones gain."""

    def __post_init__(self) -> None:
        check_settings(self, prefix="")
