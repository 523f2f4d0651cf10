"""Files in which predictions for GLUE's unlabelled test sets are handed in.

Names and format are those of gluebenchmark.com: a line for each row of the test file, with its
number and the prediction, in the way in which the training file writes labels.
"""

from collections.abc import Sequence
from pathlib import Path

from data.storage.atomic import write_text
from tasks.glue import GLUE
from tasks.kind import Prediction
from tasks.task import Task
from tasks.texts.examples import TextColumns

FILES = {(task.name, "test"): f"{task.title}.tsv" for task in GLUE} | {
    ("mnli", "test"): "MNLI-m.tsv",
    ("mnli", "test_mismatched"): "MNLI-mm.tsv",
    ("ax", "test"): "AX.tsv",
}
"""By task and split."""


def write_submission(path: Path, task: Task, predictions: Sequence[Prediction]) -> None:
    """Writes predictions as GLUE takes them; the path has a name from `FILES`."""
    rows = (f"{row['id']}\t{_written(task, row['prediction'])}\n" for row in predictions)
    write_text(path, "index\tprediction\n" + "".join(rows))


def _written(task: Task, prediction: str | float) -> str:
    if isinstance(prediction, float):  # a similarity, which is between 0 and 5
        return f"{min(max(prediction, 0.0), 5.0):.3f}"
    assert isinstance(task.columns, TextColumns)
    codes = task.columns.codes or task.labels
    return codes[task.labels.index(prediction)]
