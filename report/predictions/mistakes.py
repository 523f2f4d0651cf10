"""A list of what a model got wrong, for reading: the mistakes it was surest of."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

from data.storage.atomic import replacing
from tasks.catalogue import Kind
from tasks.examples import Example, QuestionExample, TaggedExample
from tasks.questions.squad import exact_match
from tasks.words.tags import find_entities

Prediction = Mapping[str, Any]

MOST = 20
LONGEST = 300  # characters of a text that are shown


class Mistake(NamedTuple):
    """How bad it is (0: there is none), what is right, and what was said instead."""

    badness: float
    right: str
    said: str


def write_errors(
    path: Path,
    kind: Kind,
    about: str,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
) -> None:
    """Writes the worst mistakes as a Markdown table.

    Args:
        path: of the file.
        kind: of the task.
        about: the model and the split, for the heading.
        examples: what was asked.
        predictions: from `tasks.score`, with what is right (`gold`).
    """
    title, measure, number, mistake_in = RANKED[kind]
    mistakes = [
        (mistake, example)
        for example, prediction in zip(examples, predictions, strict=True)
        if (mistake := mistake_in(prediction)).badness > 0
    ]
    mistakes.sort(key=lambda pair: -pair[0].badness)
    rows = [(measure, "gold", "predicted", "text", "id"), ("---:", "---", "---", "---", "---")]
    rows += [
        (number.format(badness), *map(_cell, (right, said, _text(example), example.id)))
        for (badness, right, said), example in mistakes[:MOST]
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    count = f"{about}: {len(mistakes):,} of {len(examples):,} are not right."
    parts = [f"# {title}", count, *([table] if mistakes else [])]
    with replacing(path) as temporary:
        temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _class(row: Prediction) -> Mistake:
    gold, said = row["gold"], row["prediction"]
    return Mistake(row["probabilities"][said] if said != gold else 0.0, gold, said)


def _value(row: Prediction) -> Mistake:
    gold, said = row["gold"], row["prediction"]
    return Mistake(abs(said - gold), f"{gold:.3f}", f"{said:.3f}")


def _tags(row: Prediction) -> Mistake:
    """Entities that are missed, and such as are not there."""
    ends = list(accumulate(len(word) + 1 for word in row["words"]))
    places = [(end - len(word) - 1, end - 1) for word, end in zip(row["words"], ends, strict=True)]
    text = " ".join(row["words"])
    right, found = (find_entities(text, places, row[side]) for side in ("gold", "prediction"))
    named = (", ".join(f"{e.type}: {e.text}" for e in side) or "-" for side in (right, found))
    return Mistake(len({*right} ^ {*found}), *named)


def _answer(row: Prediction) -> Mistake:
    gold, said = row["gold"], row["prediction"]
    wrong = exact_match([gold], [said]) == 0
    chosen = (said, row["start"])
    sure = [c["probability"] for c in row["candidates"] if (c["text"], c["start"]) == chosen]
    right = " / ".join(dict.fromkeys(gold)) or "(no answer)"
    return Mistake(sum(sure) if wrong else 0.0, right, said or "(no answer)")


RANKED: dict[Kind, tuple[str, str, str, Callable[[Prediction], Mistake]]] = {
    "classification": ("The errors it was surest of", "probability", "{:.3f}", _class),
    "regression": ("The values that are farthest off", "difference", "{:.3f}", _value),
    "tags": ("The sentences with most wrong entities", "wrong", "{:.0f}", _tags),
    "answers": ("The wrong answers it was surest of", "probability", "{:.3f}", _answer),
}
"""By kind: the title, what mistakes are ranked by, how that is written, and how it is found."""


def _text(example: Example) -> str:
    if isinstance(example, QuestionExample):
        return f"{example.question} <- {example.context}"
    if isinstance(example, TaggedExample):
        return " ".join(example.words)
    return example.text if example.pair is None else f"{example.text} / {example.pair}"


def _cell(text: str) -> str:
    """A text as one cell of a table, as it is: without what Markdown would take for a sign."""
    short = shorten(text, LONGEST, placeholder=" ...")
    for sign in "\\`*_[]<>|":
        short = short.replace(sign, f"\\{sign}")
    return short
