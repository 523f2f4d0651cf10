"""Held-out masked-LM quality of a checkpoint, and the distance of a student from its teacher.

    python -m eval.masked_lm assets/bert-tiny-pydocs --data.sequence-length 64
    python -m eval.masked_lm runs/distill-tiny/model --teacher assets/bert-tiny-pydocs
    python -m eval.masked_lm google-bert/bert-base-uncased --data.corpus my-texts/
    python -m eval.masked_lm runs/distill/model --masking.smoothing 0.7

Masks are uniform and always the same. With --masking.* there are also the metrics under other
masks, such as those of training. The table also has the unigram floor: the metrics of a model that
knows only the frequency of each token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from flax import nnx
from rich.console import Console
from rich.table import Table

from data.config import DataConfig
from data.masking import MaskingConfig
from data.open import Data, open_data
from data.storage.atomic import check_writable
from data.storage.provenance import provenance, write_json_atomic
from data.tokenizer import load_vocabulary
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.pretrained import load
from model.ranges import Count, Rows, check_settings
from model.tasks import MaskedLM
from model.terminal import say
from report.naming import FLOORS, NAMES, written
from report.tables import terminal_table
from train.loop.heldout import MASKING, HeldOut, one_by_one


@dataclass(frozen=True)
class Evaluation:
    """Score a masked-LM checkpoint on held-out text, in float32."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """A folder or hub name of a BERT or DistilBERT with its masked-LM head."""
    teacher: str | None = None
    """The model to compare it with."""
    data: DataConfig = DataConfig()
    masking: MaskingConfig = MaskingConfig()
    """Masks to score it under beside the uniform ones, such as those that it was trained with; they
    are drawn in each sequence for itself."""
    batch_size: Rows = 32
    """Sequences that are read at a time; changes only the speed."""
    heldout_sequences: Count | None = None
    """The largest number of held-out sequences, evenly spread (recipes: 1024); by default all."""
    json: Path | None = None
    """A file for the metrics and their provenance."""


def evaluate_checkpoint(config: Evaluation) -> dict[str, float]:
    """The metrics of `HeldOut`, which are printed, and written to a file if one is given.

    Raises:
        InputError: model, teacher, tokenizer and data do not fit.
    """
    check_settings(config)
    check_writable(config.json)
    names = {"model": config.model} | ({"teacher": config.teacher} if config.teacher else {})
    models, data = open_models(names, config.data)
    heldout = HeldOut(
        data.heldout,
        data.train.counts,
        data.vocabulary.special,
        rows=config.batch_size,
        limit=config.heldout_sequences,
        training=None if one_by_one(config.masking) == MASKING else config.masking,
    )
    student, params = nnx.split(models["model"])
    teacher, teacher_params = nnx.split(models["teacher"]) if config.teacher else (None, None)
    metrics = heldout.evaluator(student, teacher)(params, teacher_params)
    sequences = min(len(data.heldout), config.heldout_sequences or len(data.heldout))
    title = f"{config.model} on {sequences:,} held-out sequences of {data.corpus.name}"
    Console(highlight=False, markup=False).print(metrics_table(metrics, title))
    if config.json is not None:
        record = {"settings": config, "sequences": sequences, "corpus": data.corpus.fingerprint}
        write_json_atomic(config.json, {**record, "metrics": metrics, "provenance": provenance()})
    return metrics


def open_models(names: Mapping[str, str], config: DataConfig) -> tuple[dict[str, MaskedLM], Data]:
    """The `model`, perhaps its `teacher`, and text in their vocabulary.

    Raises:
        InputError: they cannot be opened, or do not fit each other.
    """
    checkpoints = {role: open_checkpoint(name) for role, name in names.items()}
    models = {role: load(opened, MaskedLM) for role, opened in checkpoints.items()}
    for role, model in models.items():
        config.check_length(model.config.max_positions, names[role])
    own = checkpoints["model"].place
    data = open_data(replace(config, tokenizer=config.tokenizer or own))
    check_vocabularies(config.tokenizer, data, checkpoints)
    return models, data


def check_vocabularies(
    tokenizer: str | None, data: Data, checkpoints: Mapping[str, Checkpoint]
) -> None:
    """Raises InputError unless every model has the vocabulary of the text."""
    pieces = data.vocabulary.size
    for checkpoint in checkpoints.values():
        rows = checkpoint.config.vocab_size
        if tokenizer and rows != pieces:
            raise InputError(
                f"{checkpoint.name} has a vocabulary of {rows} and --data.tokenizer "
                f"{tokenizer} one of {pieces}: give the model's own"
            )
        say(*data.vocabulary.check_rows(rows, checkpoint.name))
    if "teacher" in checkpoints:
        model, teacher = checkpoints["model"], checkpoints["teacher"]
        data.vocabulary.check_teacher(load_vocabulary(teacher.place))
        if model.config.vocab_size != teacher.config.vocab_size:
            raise InputError(
                f"{model.name} has {model.config.vocab_size} word embeddings and {teacher.name} "
                f"{teacher.config.vocab_size}: their predictions can be compared only if the "
                "numbers are the same"
            )


def metrics_table(metrics: dict[str, float], title: str) -> Table:
    """A table of the metrics, with the unigram floor of those that have one."""
    lines = [
        (
            NAMES.get(name, name),
            written(name, value),
            written(name, metrics.get(FLOORS.get(name, ""))),
        )
        for name, value in metrics.items()
        if name not in FLOORS.values()
    ]
    return terminal_table(title, ("", "held out", "unigram floor"), lines)


if __name__ == "__main__":
    from train.command.cli import main, parse

    main(
        lambda: evaluate_checkpoint(
            parse(Evaluation, prog="python -m eval.masked_lm", description=__doc__)
        )
    )
