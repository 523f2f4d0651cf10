"""Settings of how texts become windows of tokens, and of questions about a text."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from data.rows import Row
from model.decoder.settings import Beams, GenerationConfig, LengthPenalty, NewTokens
from model.errors import InputError
from model.ranges import Count, Length, Range

Long = Literal["truncate", "head+tail", "windows", "hierarchy"]
NullThreshold = Annotated[float, Range(-1e6, 1e6)]
Threshold = Annotated[float, Range(0, 0.999)]

OVERLAP = 128
QUESTION = 64


@dataclass(frozen=True)
class Reading:
    """Settings of how a text becomes windows."""

    max_length: Length | None = None
    """Tokens of a window, [CLS] and [SEP] included; by default those of the task."""
    long: Long = "truncate"
    """Longer texts: keep their beginning (`truncate`), beginning and end (`head+tail`), or all of
    them in several `windows`, whose logits are averaged. `hierarchy`, for classification, also
    reads windows, and a small encoder reads their vectors."""
    most_windows: Annotated[int, Range(1, 512)] = 8
    """Windows of a text with `hierarchy`; of longer texts the beginning is read."""
    overlap: Annotated[int, Range(0, 65536)] | None = None
    """Tokens that neighbouring windows of a text share; by default 128, or half of a window if that
    is less."""
    doc_stride: Length = 128
    """Tokens from the start of one window to the next where answers are looked for."""
    max_question: Length | None = None
    """Tokens of a question; longer ones are cut. By default 64, or half of a window if that is
    less."""

    max_target: Length | None = None
    """Tokens of a text to be written, [CLS] and [SEP] included; longer ones are cut in training. By
    default 64 for a translation and 128 for a summary."""

    def matters(self, name: str) -> bool:
        """True if the field of this name changes anything."""
        needs = {"overlap": ("windows", "hierarchy"), "most_windows": ("hierarchy",)}
        return name not in needs or self.long in needs[name]

    def check_means(self, reads: Collection[str], noun: str) -> None:
        """Raises InputError if a field is set that means nothing to a model, called `noun`.

        `reads` are the fields that mean something to it, beside `max_length`.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "max_length" or value == field.default:
                continue
            flag = f"--reading.{field.name.replace('_', '-')} {value}"
            if field.name not in reads:
                raise InputError(f"{flag} means nothing to {noun}: leave it out")
            if not self.matters(field.name):
                raise InputError(
                    f"{flag} means nothing to --reading.long {self.long}: leave it out"
                )

    def shared(self, room: int) -> int:
        """Tokens that windows with `room` for so many share.

        Raises:
            InputError: they cannot hold the overlap.
        """
        if self.overlap is None:
            return min(OVERLAP, room // 2)
        if self.overlap >= room:
            raise InputError(
                f"windows of {room} tokens cannot share {self.overlap} of them: give a "
                f"--reading.overlap below {room}"
            )
        return self.overlap

    def question(self, length: int) -> int:
        """Tokens of a question in windows of `length` tokens, at most."""
        return min(QUESTION, length // 2) if self.max_question is None else self.max_question


@dataclass(frozen=True)
class BeamSettings:
    """Settings with which a text is written; those that are not given are the model's own."""

    beams: Beams | None = None
    """Texts that are searched side by side; 1: the most probable token each time."""
    length_penalty: LengthPenalty | None = None
    """Power of the length that divides a text's score; above 0, long texts gain."""
    max_new_tokens: NewTokens | None = None
    """The most tokens of a text, its end included."""

    def of(self, config: GenerationConfig) -> GenerationConfig:
        """The settings of a model with these in their place.

        Raises:
            InputError: a penalty of length is given, and the search compares no lengths.
        """
        given = {name: value for name, value in vars(self).items() if value is not None}
        found = replace(config, **given)
        if self.length_penalty not in (None, config.length_penalty) and found.beams == 1:
            raise InputError(
                f"--search.length-penalty {self.length_penalty} chooses among texts of several "
                "lengths, and one is searched: give --search.beams 2 or more, or leave it out"
            )
        return found


OF_TEXT = ("pair", "question", "choices")
"""The fields of `Asked` that may be others for each text, such as cells of its row."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Question or other settings that come with every text."""

    pair: str | None = None
    """The second text of every pair, for a classifier of pairs."""
    question: str | None = None
    """The question that each text is to answer."""
    choices: tuple[str, ...] | None = None
    """For a model of multiple choice: what it compares as an answer to each text, or as its end;
    two or more, each in quotes, behind the texts."""
    top: Count | None = None
    """At most so many labels, choices, answers, fillings, or sentences of a summary; by default all
    labels and choices, 3 answers, 5 fillings, and as many sentences as the model has learned."""
    threshold: Threshold | None = None
    """For a classifier with any number of labels: give a text those whose probability is above
    this, by default 0.5."""
    null_threshold: NullThreshold | None = None
    """For a question answerer: predict "no answer" when its score exceeds the best answer's by more
    than this. By default 0 for a model fine-tuned here on questions of which some had no answer;
    others always answer."""
    search: BeamSettings = BeamSettings()
    """How a text is written, for a model that writes one."""
    reading: Reading = Reading()
    """How texts are read. By default a window has as many tokens as the model can read, and no more
    than 384 where answers are looked for."""

    def of_row(self, row: Row, name: str, value: str | tuple[str, ...]) -> "Asked":
        """These, with the `value` that a row has for `name`, one of `OF_TEXT`.

        Raises:
            InputError: all texts have been given one.
        """
        if getattr(self, name) is not None:
            remedy = f"leave out --{name}, or the column"
            raise InputError(f"{row.place}, has its own {name!r}: {remedy}")
        return replace(self, **{name: value})
