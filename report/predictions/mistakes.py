"""List of the mistakes that a model was surest of, for reading."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

from data.storage.atomic import write_text
from report.markdown import escaped, text_table
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
    header = (measure, "gold", "predicted", "text", "id")
    lines = [
        (number.format(badness), *map(_short, (right, predicted, kind.quote(example), example.id)))
        for (badness, right, predicted), example in mistakes[:MOST]
    ]
    count = f"{about}: {len(mistakes):,} of {len(examples):,} are not right."
    table = [text_table(header, lines, left=len(header))] if mistakes else []
    write_text(path, "\n\n".join([f"# {title}", escaped(count), *table]) + "\n")


def _short(text: str) -> str:
    return shorten(text, LONGEST, placeholder=" ...")
