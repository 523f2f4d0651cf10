"""What a model's head says about texts of anyone's, put so that people and programs can read it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from flax import nnx

from data.vocabulary import Vocabulary
from model.errors import InputError, at_least_one
from model.tasks import (
    MaskedLM,
    PreTraining,
    QuestionAnswering,
    SequenceClassification,
    TokenClassification,
)
from tasks.catalogue import TASKS
from tasks.examples import Example, QuestionExample, TaggedExample, TextExample
from tasks.fill_mask import fill_mask
from tasks.model import check_inputs
from tasks.predict import EVALUATION_ROWS, predictor
from tasks.reading import Reading, encode, remarks
from tasks.score import score
from tasks.words.encode import check_text, split_words
from tasks.words.tags import find_entities

Head = Literal["classification", "regression", "tags", "answers", "fillings"]
Said = dict[str, Any]

HEADS: dict[type[Any], Head] = {
    SequenceClassification: "classification",
    TokenClassification: "tags",
    QuestionAnswering: "answers",
    MaskedLM: "fillings",
    PreTraining: "fillings",
}
NOUNS: dict[Head, str] = {
    "classification": "a classifier",
    "regression": "a model of values",
    "tags": "a tagger",
    "answers": "a question answerer",
    "fillings": "a masked LM",
}
MEANT_FOR: dict[str, tuple[Head, ...]] = {
    "pair": ("classification", "regression"),
    "question": ("answers",),
    "top": ("classification", "answers", "fillings"),
    "null_threshold": ("answers",),
}
LONGEST_CONTEXT = 384  # tokens of a window in which answers are looked for, as in training
ANSWERS, FILLINGS = 3, 5  # of each text, if nobody says how many

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked about every text."""

    pair: str | None = None
    """The second text of every pair, for a classifier of pairs."""
    question: str | None = None
    """What a question answerer is to find in each text."""
    top: int | None = None
    """At most so many labels, answers or fillings; by default all labels, 3 answers, 5 fillings."""
    null_threshold: float | None = None
    """A question answerer that has learned it (SQuAD 2.0) says that there is no answer where that
    scores higher than the best answer by more than this, usually 0. By default it always answers.
    """
    reading: Reading = Reading()
    """How texts are read. By default a window has as many tokens as the model can read, and no more
    than 384 where answers are looked for."""


PLAINLY = Asked()


def head_of(model: nnx.Module) -> Head:
    """Which head a model has.

    Raises:
        InputError: none that says something about a text.
    """
    if type(model) not in HEADS:
        raise InputError(
            f"a {type(model).__name__} model has nothing to say about a text: it takes one for "
            "sequence or token classification, question answering, or masked LM"
        )
    head = HEADS[type(model)]
    one = head == "classification" and model.config.num_labels == 1  # type: ignore[attr-defined]
    return "regression" if one else head


def check_asked(head: Head, asked: Asked) -> None:
    """Raises InputError if a head cannot be asked this."""
    for name, heads in MEANT_FOR.items():
        flag, value = f"--{name.replace('_', '-')}", getattr(asked, name)
        if value is not None and head not in heads:
            raise InputError(f"{flag} means nothing to {NOUNS[head]}, which this model is")
        if isinstance(value, str):
            check_text(value, flag)
    if head == "answers" and asked.question is None:
        raise InputError("this model answers questions about texts: ask one with --question")
    at_least_one(asked, "top")


def say(model: Any, vocabulary: Vocabulary, texts: Sequence[str], asked: Asked) -> list[Said]:
    """What any head says about each text; how many were too long is logged as a warning."""
    head = head_of(model)
    if head == "fillings":
        return [_fill(model, vocabulary, text, asked.top or FILLINGS) for text in texts]
    labels, positions = model.config.labels, model.config.max_positions
    longest = min(LONGEST_CONTEXT, positions) if head == "answers" else positions
    settings = {"null_threshold": asked.null_threshold, "max_length": longest}
    task, reading = replace(TASKS[head], labels=labels, **settings), asked.reading
    check_inputs("the model", model, vocabulary, reading.length(task))

    words = [split_words(text, vocabulary.tokenizer) if head == "tags" else [] for text in texts]
    examples: list[Example] = []
    for number, (text, places) in enumerate(zip(texts, words, strict=True)):
        if head == "tags":
            parts = tuple(text[start:end] for start, end in places)
            examples.append(TaggedExample(str(number), parts))
        elif head == "answers":
            examples.append(QuestionExample(str(number), asked.question or "", text))
        else:
            examples.append(TextExample(str(number), text, asked.pair))
    windows = encode(task, examples, vocabulary, reading, labels)
    for remark in remarks("texts", task, len(texts), windows, reading):
        logger.warning(remark)
    graphdef, params = nnx.split(model)
    logits = predictor(graphdef, windows, rows=min(len(windows), EVALUATION_ROWS))(params)
    found = score(task, examples, windows, logits, labels).predictions
    put: dict[Head, Callable[[int], Said]] = {
        "classification": lambda number: _labels(found[number], asked.top),
        "regression": lambda number: {"value": found[number]["prediction"]},
        "tags": lambda number: _entities(texts[number], words[number], found[number]),
        "answers": lambda number: _answers(found[number], asked.top or ANSWERS),
    }
    return [put[head](number) for number in range(len(texts))]


def _labels(row: Said, top: int | None) -> Said:
    ranked = sorted(row["probabilities"].items(), key=lambda pair: -pair[1])
    label, probability = ranked[0]
    return {"label": label, "probability": probability, "probabilities": dict(ranked[:top])}


def _entities(text: str, words: list[tuple[int, int]], row: Said) -> Said:
    return {"entities": [e._asdict() for e in find_entities(text, words, row["prediction"])]}


def _answers(row: Said, top: int) -> Said:
    """The chosen answer, which a threshold may make another than the likeliest, and the next."""
    chosen = (row["prediction"], row["start"])
    ranked = sorted(row["candidates"], key=lambda c: (c["text"], c["start"]) != chosen)
    answers = []
    for answer in ranked[:top]:
        text, start, probability = answer["text"], answer["start"], answer["probability"]
        end = start + len(text)
        answers.append({"text": text, "start": start, "end": end, "probability": probability})
    return {"answers": answers}


def _fill(model: MaskedLM, vocabulary: Vocabulary, text: str, top: int) -> Said:
    check_inputs("the model", model, vocabulary, 0)
    tokens, positions = len(vocabulary.tokenizer.encode(text).ids), model.config.max_positions
    if tokens > positions:
        raise InputError(
            f"a masked LM reads a text as a whole, up to {positions} tokens here, and that which "
            f"begins with {text[:40]!r} has {tokens}"
        )
    masks = fill_mask(model, vocabulary, text, top=min(top, vocabulary.size))
    return {"masks": [[{"token": t, "probability": p} for t, p in mask] for mask in masks]}
