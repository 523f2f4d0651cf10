"""Distillation: a DistilBERT learns from a BERT and from the text (Sanh et al. 2019).

python -m train.distill tiny
python -m train.distill tiny --data.corpus my-texts/ --loss.temperature 4
python -m train.distill distilbert-base-uncased --optimizer.learning-rate 1e-4
"""

import sys
from dataclasses import replace

from flax import nnx

from data.pipeline import open_data
from data.tokenizer import check_same_vocabulary, load_tokenizer, special_ids
from model.errors import InputError
from model.pretrained import load
from model.student import student_from_teacher
from model.tasks import MaskedLM
from train.cli import choose, main
from train.config import DistillConfig, StudentConfig
from train.loop import compute_dtype
from train.objectives import DistillationObjective
from train.recipes import DISTILL
from train.streams import stream_key
from train.text import fit_text


def distill(config: DistillConfig) -> dict[str, float]:
    """Trains as the configuration says; returns the held-out metrics.

    Raises:
        InputError: teacher, student and data do not fit, or nothing is asked of the student.
    """
    if not config.loss.weights():
        raise InputError("all weights of --loss are 0: give at least one term a weight")
    teacher = load(config.teacher, MaskedLM, dtype=compute_dtype(config))
    if config.data.sequence_length > teacher.config.max_positions:
        raise InputError(
            f"--data.sequence-length {config.data.sequence_length} is above the "
            f"{teacher.config.max_positions} positions of {config.teacher}"
        )
    data = open_data(replace(config.data, tokenizer=config.data.tokenizer or config.teacher))
    check_same_vocabulary(load_tokenizer(config.teacher), data.tokenizer)
    student = initial_student(teacher, config.student, seed=config.seed)
    objective = DistillationObjective(
        nnx.graphdef(student),
        nnx.graphdef(teacher),
        masking=config.masking,
        mask_id=special_ids(data.tokenizer).mask,
        loss=config.loss,
    )
    return fit_text(
        config,
        kind="distill",
        data=data,
        model=student,
        objective=objective,
        teacher=teacher,
        frozen=("position",) if config.freeze_positions else (),
    )


def initial_student(teacher: MaskedLM, config: StudentConfig, *, seed: int) -> MaskedLM:
    """The student before training."""
    return student_from_teacher(
        teacher,
        layers=config.layers,
        num_layers=config.num_layers,
        copy_head=config.copy_head,
        token_types=config.token_types,
        rngs=nnx.Rngs(params=stream_key(seed, "init")),
    )


if __name__ == "__main__":
    main(lambda: distill(choose(DISTILL, "train.distill", sys.argv[1:])))
