"""What a fine-tuned teacher says about the training examples: asked once, used in every epoch."""

from dataclasses import replace

import numpy as np

from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from model.errors import InputError
from model.hf.checkpoint import Checkpoint
from tasks.catalogue import Task
from tasks.model import load_for_task
from tasks.predict import EVALUATION_ROWS, predictor
from tasks.windows import Windows
from train.config import FinetuneConfig
from train.loop.learner import compute_dtype
from train.update.parallel import Parallel
from train.update.step import split


def with_soft_targets(
    config: FinetuneConfig,
    checkpoint: Checkpoint,
    task: Task,
    vocabulary: Vocabulary,
    windows: Windows,
    labels: tuple[str, ...],
) -> Windows:
    """The windows with the teacher's logits, its classes put into the student's order by name.

    Raises:
        InputError: the teacher has no head for the task, another vocabulary, or fewer positions.
    """
    vocabulary.check_teacher(load_vocabulary(checkpoint.place))
    teacher = load_for_task(checkpoint, task, order=config.labels, dtype=compute_dtype(config))
    longest = max(windows.lengths)
    if longest > teacher.config.max_positions:
        raise InputError(
            f"there are texts of {longest} tokens, above the {teacher.config.max_positions} "
            f"positions of the teacher {checkpoint.name}: lower --reading.max-length"
        )
    print(f"{checkpoint.name} reads the {len(windows):,} training windows, once")
    graphdef, params = split(teacher)
    parallel = Parallel(config.run)
    rows = parallel.divisible(EVALUATION_ROWS)
    predict = predictor(graphdef, windows, rows=rows, place=parallel.place_rows)
    said = predict(parallel.replicate(params))
    if task.kind == "answers":
        columns = {f"teacher_{side}": (said[side], 0.0) for side in ("start", "end")}
        return replace(windows, tokens={**windows.tokens, **columns})
    order = [0] if task.kind == "regression" else [teacher.config.labels.index(n) for n in labels]
    logits = [values[..., order] for values in said["logits"]]
    if task.kind == "tags":
        return replace(windows, tokens={**windows.tokens, "teacher": (logits, 0.0)})
    return replace(windows, values={**windows.values, "teacher": np.stack(logits)})
