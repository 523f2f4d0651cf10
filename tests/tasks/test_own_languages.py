"""A user's own file in several scripts: read, cut into pieces, and answered, by every kind."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.wordpiece import train_wordpiece
from tasks.open import TaskDataConfig, open_task
from tasks.reading import Reading
from tasks.score import score
from tasks.windows import Windows

TEXTS = (
    "北京是中国的首都，有两千万人。",
    "القاهرة هي عاصمة مصر وأكبر مدنها.",
    "नई दिल्ली भारत की राजधानी है।",
    "กรุงเทพมหานครเป็นเมืองหลวงของไทย",
    "Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
    "Köln liegt am Rhein, „mit Dom“.",
)
ANSWERS = ("北京", "عاصمة مصر", "नई दिल्ली", "กรุงเทพมหานครเป็นเมืองหลวงของไทย", "Αθήνα", "„mit Dom“")


def table(file: Path, *rows: dict[str, Any]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


ROWS = {
    "classification": [{"text": t, "label": t.split()[0]} for t in TEXTS],
    "regression": [{"text": t, "label": len(t)} for t in TEXTS],
    "tags": [
        {"text": " ".join(t.split()), "label": " ".join(f"B-{w[:2]}" for w in t.split())}
        for t in TEXTS
    ],
    "answers": [
        {"context": t, "question": t[:4], "answer": a, "answer_start": t.index(a)}
        for t, a in zip(TEXTS, ANSWERS, strict=True)
    ],
}


def perfect(windows: Windows, classes: int) -> dict[str, list[np.ndarray]]:
    """The outputs of a model that knows the right ones."""
    if "start" in windows.values:
        return {
            side: [
                np.where(np.arange(length) == place, 9.0, 0.0)
                for length, place in zip(windows.lengths, windows.values[side], strict=True)
            ]
            for side in ("start", "end")
        }
    if "tags" in windows.tokens:
        return {"logits": [9.0 * np.eye(classes)[tags] for tags in windows.tokens["tags"][0]]}
    labels = windows.values["label"]
    if labels.dtype == np.float32:
        return {"logits": list(labels[:, None])}
    return {"logits": list(9.0 * np.eye(classes)[labels])}


@pytest.mark.parametrize("name", ROWS)
def test_all_scripts_are_read_and_answered(name, tmp_path):
    file = table(tmp_path / "own.csv", *ROWS[name])
    data = open_task(name, TaskDataConfig(train=file, dev=file))
    task, examples = data.task, data.splits["dev"]
    assert len(examples) == len(TEXTS)
    vocabulary = train_wordpiece(TEXTS, 300, lowercase=False)
    windows = task.to_windows(examples, vocabulary, task.labels, Reading(max_length=90))
    unknown = vocabulary.tokenizer.token_to_id("[UNK]")
    assert not any(unknown in ids for ids in windows.input_ids)
    fetched = perfect(windows, len(task.labels))
    predictions, metrics = score(task, examples, windows, fetched, task.labels)
    assert metrics["score"] == pytest.approx(1)
    if name == "answers":
        assert [p["prediction"] for p in predictions] == list(ANSWERS)
