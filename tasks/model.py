"""Model of a task: its head and its classes, matched by name and never by position."""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from flax import nnx

from data.vocabulary import Vocabulary
from model.config import DType
from model.decoder.seq2seq import Seq2Seq
from model.errors import InputError, first_of
from model.hf.checkpoint import Checkpoint
from model.hf.weight_map import ENCODERS
from model.pretrained import load
from model.student import copy_parameters
from model.tasks import DocumentClassification, SequenceClassification
from tasks.reading import Reading
from tasks.task import Task

logger = logging.getLogger(__name__)


def load_for_task(
    checkpoint: Checkpoint,
    task: Task,
    *,
    order: tuple[str, ...] = (),
    new_head: nnx.Rngs | None = None,
    dtype: DType = "float32",
    load: Callable[..., Any] = load,
) -> Any:
    """A checkpoint with the head that a task needs.

    A head that the checkpoint has is taken if its classes are those of the task, in whatever order:
    `model.config.labels` says which. If they are called otherwise or only numbered (LABEL_0, ...),
    `order` names them by index.

    `new_head` draws a head where there is none, or one for other classes; a warning says so. `load`
    makes the model of a checkpoint whose weights are in another form.

    Raises:
        InputError: there is no fitting head and none is to be drawn; or the classes have no names.
    """
    head, names = task.kind.model, task.outputs
    path, config, classes = checkpoint.name, checkpoint.config, checkpoint.classes
    if not task.kind.has_head:
        return load(checkpoint, head, dtype=dtype)
    if not checkpoint.has_head(head):
        if new_head is None and checkpoint.has_head(DocumentClassification):
            raise InputError(
                f"{path} reads documents in windows, together: give --reading.long hierarchy"
            )
        if new_head is None:
            raise InputError(
                f"{path} ({' or '.join(classes) or 'a bare encoder'}) has no head for "
                f"{task.name}: fine-tune it first, with train.finetune {task.recipe}"
            )
        if head in (DocumentClassification, Seq2Seq):
            return _with_encoder_of(checkpoint, task, new_head, dtype)
        labels = {"labels": names} if names else {}
        return load(checkpoint, head, init_missing=new_head, dtype=dtype, **labels)
    if not task.kind.serves(config):
        if new_head is None:
            has = f"the problem_type {config.problem}"
            if head is not SequenceClassification:
                has = f"the classes {first_of(config.labels, 4)}"
            raise InputError(
                f"{path} has {has}, and {task.name} takes {task.kind.noun}: fine-tune it first, "
                f"with train.finetune {task.recipe}"
            )
        return _with_new_head(checkpoint, task, new_head, dtype)
    if not task.kind.named_outputs and len(names) in (0, config.num_labels):
        return load(checkpoint, head, dtype=dtype)

    for known in filter(None, (config.labels, order)):
        ours = spelled(known, names)
        if sorted(ours) == sorted(names) and len(ours) == config.num_labels:
            return load(checkpoint, head, dtype=dtype, labels=ours)
    if order:
        raise InputError(
            f"--labels {' '.join(order)}: {task.name} has the classes {', '.join(names)}, and "
            f"{path} has {config.num_labels}"
        )
    if task.kind.named_outputs and only_numbered(config.labels) and len(names) <= config.num_labels:
        raise InputError(
            f"the classes of {path} are only numbered ({', '.join(config.labels)}): name them in "
            f"the model's order, as in --labels {' '.join(names)}"
        )
    if new_head is None and not task.kind.named_outputs and "label_fields" in task.kind.fields:
        raise InputError(
            f"{path} gives {config.num_labels} values, {', '.join(config.labels)}: name the "
            f"columns that hold them, as in --data.label-fields {' '.join(config.labels)}"
        )
    if new_head is None:
        raise InputError(
            f"{path} knows the {config.num_labels} classes {', '.join(config.labels)}, and "
            f"{task.name} has {', '.join(names)}: it was fine-tuned for something else"
        )
    return _with_new_head(checkpoint, task, new_head, dtype)


def _with_new_head(checkpoint: Checkpoint, task: Task, rngs: nnx.Rngs, dtype: DType) -> Any:
    """The encoder of a checkpoint whose own head is for something else, with another head."""
    what = "other classes" if task.kind.serves(checkpoint.config) else "another kind of task"
    logger.warning("%s has a head for %s: a new one is drawn, to be trained", checkpoint.name, what)
    return _with_encoder_of(checkpoint, task, rngs, dtype)


def _with_encoder_of(checkpoint: Checkpoint, task: Task, rngs: nnx.Rngs, dtype: DType) -> Any:
    """A new model with the encoder of a checkpoint."""
    encoder = load_encoder(checkpoint)
    labels = {"labels": task.outputs} if task.outputs else {}
    config = checkpoint.config.replace(dtype=dtype, **labels)
    model = task.kind.new_model(config, checkpoint, rngs=rngs)
    for part in ("embeddings", "encoder", "pooler"):
        source, target = (getattr(of, part, None) for of in (encoder, model.backbone))
        if source is not None and target is not None:
            copy_parameters(source, target)
    return model


def check_order(order: tuple[str, ...], task: Task, *checkpoints: Checkpoint) -> None:
    """Raises InputError unless `order`, --labels, names the classes of one of these checkpoints."""
    if not order:
        return
    given = f"--labels {' '.join(order)}"
    if not task.kind.named_outputs:
        raise InputError(f"{given}: {task.name} has no classes, leave it out")
    names = task.labels
    if sorted(spelled(order, names)) != sorted(names):
        raise InputError(f"{given}: {task.name} has the classes {', '.join(names)}")
    why = []
    for checkpoint in checkpoints:
        path, config = checkpoint.name, checkpoint.config
        ours = spelled(config.labels, names)
        headless = not checkpoint.has_head(task.kind.model)
        if headless or not task.kind.serves(config):
            why.append(f"{path} has no head whose classes it could name")
        elif sorted(ours) == sorted(names) and ours != spelled(order, names):
            why.append(f"{path} itself calls its classes {', '.join(ours)}, in this order")
        else:
            return
    reason = " and ".join(why) or "the head is new, and takes the order of the task"
    raise InputError(f"{given}: {reason}: leave it out")


def only_numbered(labels: tuple[str, ...]) -> bool:
    """True if classes have no names but those that transformers gives them."""
    return labels == tuple(f"LABEL_{number}" for number in range(len(labels)))


def spelled(labels: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Classes as a task spells them: some write POSITIVE where others write positive.

    A class that the task has keeps its name, and so do those that are alike but for case.
    """
    ours, theirs = (Counter(map(str.casefold, side)) for side in (labels, names))
    spelling = {n.casefold(): n for n in names if ours[n.casefold()] == theirs[n.casefold()] == 1}
    return tuple(n if n in names else spelling.get(n.casefold(), n) for n in labels)


def load_encoder(checkpoint: Checkpoint) -> Any:
    """A checkpoint without its head."""
    return load(checkpoint, ENCODERS[checkpoint.config.architecture])


def fit_reading(
    path: str, model: Any, vocabulary: Vocabulary, task: Task, reading: Reading
) -> tuple[Reading, tuple[str, ...]]:
    """The reading of a task's texts by a model, and remarks on it.

    Raises:
        InputError: as `check_inputs`.
    """
    positions = model.config.max_positions
    fitted = task.fit(reading, positions)
    remarks = check_inputs(path, model, vocabulary, task.length(fitted))
    if fitted != reading:
        shorter = f"windows have {positions} tokens, as {path} has no more positions"
        remarks = (*remarks, f"{shorter}: those of {task.name} have {task.max_length} otherwise")
    return fitted, remarks


def check_inputs(path: str, model: Any, vocabulary: Vocabulary, length: int) -> tuple[str, ...]:
    """Raises InputError unless a model has all pieces and positions of windows of `length` tokens.

    The `path` of the model is for the message, the `vocabulary` that of its tokenizer. Returns the
    remarks of `Vocabulary.check_rows`.
    """
    positions = model.config.max_positions
    if length > positions:
        raise InputError(
            f"--reading.max-length {length} is above the {positions} positions of {path}: give at "
            f"most {positions}"
        )
    return vocabulary.check_rows(model.config.vocab_size, path)
