"""List of the mistakes that a model was surest of, for reading."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

from data.storage.atomic import write_text
from tasks.formats.rows import Example
from tasks.kind import Kind, Prediction

MOST = 20
LONGEST = 300  # characters of a text that are shown


def write_errors(
    path: Path,
    kind: Kind,
    about: str,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
) -> None:
    """Writes the worst mistakes as a Markdown table; `about` names the model and the split.

    The predictions, one for each example, are from `tasks.score`, with the right one (`gold`).
    """
    title, measure, number = kind.ranking
    mistakes = [
        (mistake, example)
        for example, prediction in zip(examples, predictions, strict=True)
        if (mistake := kind.mistake(prediction)).badness > 0
    ]
    mistakes.sort(key=lambda pair: -pair[0].badness)
    rows = [(measure, "gold", "predicted", "text", "id"), ("---:", "---", "---", "---", "---")]
    rows += [
        (number.format(badness), *map(_cell, (right, predicted, kind.quote(example), example.id)))
        for (badness, right, predicted), example in mistakes[:MOST]
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    count = f"{about}: {len(mistakes):,} of {len(examples):,} are not right."
    write_text(path, "\n\n".join([f"# {title}", count, *([table] if mistakes else [])]) + "\n")


def _cell(text: str) -> str:
    """A text as one cell of a table, as it is: without what Markdown would take for a sign."""
    short = shorten(text, LONGEST, placeholder=" ...")
    for sign in "\\`*_[]<>|":
        short = short.replace(sign, f"\\{sign}")
    return short
