"""Outputs of a fine-tuned teacher on the training examples: computed once, used every epoch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from model.terminal import say
from tasks.formats.rows import Example
from tasks.model import load_for_task
from tasks.predict import EVALUATION_ROWS, predictor
from tasks.task import Task
from tasks.windows import Windows
from train.command.signals import heeding, until_safe
from train.config import FinetuneConfig
from train.loop.learner import compute_dtype
from train.update.parallel import Parallel


def with_soft_targets(
    config: FinetuneConfig,
    checkpoint: Checkpoint,
    task: Task,
    examples: Sequence[Example],
    vocabulary: Vocabulary,
    windows: Windows,
    model: Any,
) -> Windows:
    """The windows with the teacher's outputs, its classes put into the student's order by name.

    Args:
        config: of the run.
        checkpoint: the teacher.
        task: that both learn.
        examples: those of the windows.
        vocabulary: the student's.
        windows: of training.
        model: the student.

    Raises:
        InputError: the teacher has no head for the task, another vocabulary, or fewer positions.
    """
    say(f"{checkpoint.name} reads the {len(windows):,} training windows, once")
    length = task.length(config.reading)
    if (asked := task.kind.ask_teacher(checkpoint, examples, model, length)) is not None:
        by_window = {name: column[windows.example] for name, column in asked.items()}
        return replace(windows, values={**windows.values, **by_window})
    vocabulary.check_teacher(load_vocabulary(checkpoint.place))
    teacher = load_for_task(checkpoint, task, order=config.labels, dtype=compute_dtype(config))
    vocabulary.check_rows(teacher.config.vocab_size, checkpoint.name)
    longest = max(windows.lengths)
    if longest > teacher.config.max_positions:
        raise InputError(
            f"there are texts of {longest} tokens, above the {teacher.config.max_positions} "
            f"positions of the teacher {checkpoint.name}: lower --reading.max-length"
        )
    parallel = Parallel(config.run)
    rows = parallel.divisible(EVALUATION_ROWS)
    place = heeding(parallel.place_rows)
    predict = predictor(task.kind, windows, rows=rows, place=place)
    with until_safe():
        fetched = predict(parallel.replicate(teacher))
    own = teacher.config.labels
    labels = model.config.labels
    order = [own.index(name) for name in labels] if task.kind.named_outputs else slice(None)
    columns = {
        f"teacher_{name}": [values[..., order] for values in column]
        for name, column in fetched.items()
    }
    if task.kind.per_token:
        filled = {name: (column, 0.0) for name, column in columns.items()}
        return replace(windows, tokens={**windows.tokens, **filled})
    stacked = {name: np.stack(column) for name, column in columns.items()}
    return replace(windows, values={**windows.values, **stacked})
