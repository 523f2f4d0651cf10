"""Predictions of a model's head for texts of anyone's, for people and for programs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from flax import nnx

from data.vocabulary import Vocabulary
from model.errors import InputError
from model.ranges import check_settings
from model.tasks import MaskedLM
from tasks.fill_mask import fill_masks
from tasks.kind import Kind, percent
from tasks.kinds import KINDS
from tasks.model import check_inputs
from tasks.predict import predictor
from tasks.reading import OF_TEXT, Asked, BeamSettings, Reading
from tasks.windows import Remark, Windows
from tasks.words.encode import check_text

Description = dict[str, Any]


class Input(NamedTuple):
    """A text, with the question or second text that belongs to it."""

    place: str
    """Where it comes from, for messages."""
    text: str
    asked: Asked
    id: str | int | float | None = None
    """That of its row, as the file has it."""


class Answering(NamedTuple):
    """The way in which texts are answered."""

    kind: Kind | None
    """That of the model's head; None: texts come alone."""
    asked: Asked
    """The question to the model about each text."""
    check: Callable[[Input], Any]
    """Raises InputError if a text is not one for it."""
    answer: Callable[[Sequence[Input]], tuple[list[Description], tuple[Remark, ...]]]
    lines: Callable[[Description], Iterable[str]]
    """An answer for people."""


FILLINGS = 5  # for each [MASK], if nobody says how many
ROWS = (1, 8, 32)
"""Texts that are read together; of more than the most only so many at a time."""
SHORT = (32, 128)
"""The lengths of buckets below the longest, in tokens."""


def kind_of(model: nnx.Module) -> Kind | None:
    """The kind of task that a model's head is for; None for a masked LM.

    Raises:
        InputError: the head predicts nothing about a text.
    """
    if isinstance(model, MaskedLM):
        return None
    for kind in KINDS.values():
        if (found := kind.of_model(model)) is not None:
            return found
    raise InputError(
        f"a {type(model).__name__} model has nothing to say about a text: it takes one for "
        "sequence or token classification, question answering, multiple choice, or masked LM"
    )


def check_asked(kind: Kind | None, asked: Asked) -> None:
    """Raises InputError if a model of this kind, or a masked LM, cannot be asked this."""
    check_settings(asked)
    noun, asks = ("a masked LM", ("top",)) if kind is None else (kind.noun, kind.asks)
    for name in (*OF_TEXT, "top", "threshold", "null_threshold"):
        flag, value = f"--{name.replace('_', '-')}", getattr(asked, name)
        if value is not None and name not in asks:
            raise InputError(f"{flag} means nothing to {noun}, which this model is")
        if name in OF_TEXT and value is not None:
            check_given(value, flag)
    if kind is not None:
        kind.of_search(asked.search).as_asked(asked)
        asked.reading.check_means(kind.reads, kind.noun)
    elif asked.search != BeamSettings():
        raise InputError(f"--search.* means nothing to {noun}, which this model is")


def check_given(value: str | tuple[str, ...], place: str) -> None:
    """Raises InputError unless there is something to read in what comes with a text."""
    for text in (value,) if isinstance(value, str) else value:
        check_text(text, place)


def check_input(model: nnx.Module, vocabulary: Vocabulary, given: Input) -> None:
    """Raises InputError if a text is not one, or a masked LM cannot read it."""
    check_text(given.text, given.place)
    if not isinstance(model, MaskedLM):
        return
    ids, positions = vocabulary.tokenizer.encode(given.text).ids, model.config.max_positions
    if vocabulary.special.mask not in ids:
        raise InputError(f"{given.place} has no [MASK] to fill in: {given.text[:40]!r}")
    if len(ids) > positions:
        raise InputError(
            f"{given.place} has {len(ids):,} tokens: a masked LM reads a text as a whole, and this "
            f"one up to {positions}"
        )


def describe(
    model: Any, vocabulary: Vocabulary, inputs: Sequence[Input]
) -> tuple[list[Description], tuple[Remark, ...]]:
    """The predictions of any head for each text, with its id and with what was asked about it.

    And remarks on texts that are too long. What is asked differs in `OF_TEXT` only.
    """
    kind = kind_of(model)
    if kind is None:
        found, remarks = _fill(model, vocabulary, inputs), ()
    else:
        found, remarks = _ask(kind, model, vocabulary, inputs)
    return [{**_given(g), **more} for g, more in zip(inputs, found, strict=True)], remarks


def _given(given: Input) -> Description:
    values = {"id": given.id, "text": given.text}
    values |= {name: getattr(given.asked, name) for name in OF_TEXT}
    return {name: value for name, value in values.items() if value is not None}


def _ask(
    kind: Kind, model: Any, vocabulary: Vocabulary, inputs: Sequence[Input]
) -> tuple[list[Description], tuple[Remark, ...]]:
    asked, labels = inputs[0].asked, model.config.labels
    # What is fetched is the same whatever these are, and a program is compiled for each kind.
    plain = replace(asked, top=None, threshold=None, null_threshold=None)
    kind, fetching = (_as_asked(kind, vocabulary, each) for each in (asked, plain))
    length = window_length(model, asked.reading)
    check_inputs("the model", model, vocabulary, length)
    examples, windows = _windows(kind, model, vocabulary, inputs)
    fetched = predictor(fetching, windows, **shapes(len(windows), length))(model)
    predictions = kind.predict(examples, windows, fetched, labels)
    return [
        kind.describe(prediction, each.text, each.asked, vocabulary)
        for prediction, each in zip(predictions, inputs, strict=True)
    ], windows.remarks


def remarks_on(model: Any, vocabulary: Vocabulary, inputs: Sequence[Input]) -> tuple[Remark, ...]:
    """The remarks of `describe` alone, on texts that are too long; no model reads them."""
    kind = kind_of(model)
    if kind is None:
        return ()
    kind = _as_asked(kind, vocabulary, inputs[0].asked)
    return _windows(kind, model, vocabulary, inputs)[1].remarks


def window_length(model: Any, reading: Reading) -> int:
    """Tokens of a window of a user's text, at most; a masked LM reads it as a whole."""
    kind = kind_of(model)
    if kind is None:
        return model.config.max_positions
    return reading.max_length or kind.window_length(model)


def _as_asked(kind: Kind, vocabulary: Vocabulary, asked: Asked) -> Kind:
    return kind.of_vocabulary(vocabulary).of_search(asked.search).as_asked(asked)


def _windows(
    kind: Kind, model: Any, vocabulary: Vocabulary, inputs: Sequence[Input]
) -> tuple[list[Any], Windows]:
    """The texts as examples, and these as windows."""
    examples = [
        kind.example(str(number), each.text, each.asked, vocabulary)
        for number, each in enumerate(inputs)
    ]
    reading, labels = inputs[0].asked.reading, model.config.labels
    length = window_length(model, reading)
    return examples, kind.to_windows(examples, vocabulary, labels, length=length, reading=reading)


def shapes(count: int, longest: int) -> dict[str, Any]:
    """The rows of a batch and the lengths of buckets, for so many windows or texts.

    Nine shapes at most, whatever comes, so that soon nothing is compiled any more. Of many windows
    all batches of a length have one shape, so that little is compiled at all.
    """
    lengths = [length for length in SHORT if length < longest]
    return {"rows": ROWS if count <= ROWS[-1] else ROWS[-1:], "lengths": (*lengths, longest)}


def lines_of(kind: Kind | None, description: Mapping[str, Any]) -> Iterator[str]:
    """A description for people."""
    if kind is not None:
        yield from kind.lines(description)
        return
    for number, mask in enumerate(description["masks"], 1):
        if len(description["masks"]) > 1:
            yield f"  [MASK] {number}"
        for filling in mask:
            yield f"  {percent(filling['probability'])}  {filling['token']}"


def _fill(model: MaskedLM, vocabulary: Vocabulary, inputs: Sequence[Input]) -> list[Description]:
    check_inputs("the model", model, vocabulary, 0)
    positions, top = model.config.max_positions, inputs[0].asked.top or FILLINGS
    texts = [each.text for each in inputs]
    filled = fill_masks(
        model, vocabulary, texts, top=min(top, vocabulary.size), **shapes(len(texts), positions)
    )
    return [
        {"masks": [[{"token": t, "probability": p} for t, p in mask] for mask in masks]}
        for masks in filled
    ]
