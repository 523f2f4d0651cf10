"""Distillation: a DistilBERT learns from a BERT and from the text (Sanh et al. 2019).

    python -m train.distill tiny
    python -m train.distill tiny --data.corpus my-texts/ --loss.ce.temperature 4
    python -m train.distill distilbert-base-uncased --optimizer.learning-rate 1e-4
    python -m train.distill causal --teacher runs/pretrain-causal/model

A recipe is a named configuration, and flags change what it sets. The run's folder (--output) holds
the student in Hugging Face's format, the metrics and a report. The same command resumes a run that
was stopped.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any

from flax import nnx

from data.open import Data, open_data
from data.tokenizer import load_vocabulary
from model.config import EncoderConfig
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.student import student_from_teacher
from model.tasks import MaskedLM
from model.terminal import say
from train.causal import distill_causal
from train.command.cli import choose, main
from train.command.processes import first_before_others
from train.config import CausalDistillConfig, DistillConfig
from train.loop.fit_text import fit_text
from train.loop.folder import alone_in_output
from train.loop.learner import compute_dtype
from train.objectives.distillation import DistillationObjective
from train.objectives.projection import LiftedStudent, student_of
from train.objectives.stored import check_stored
from train.objectives.terms import DistillationLoss, ForwardTerm
from train.recipes import DISTILL
from train.teacher_cache.open import stored_answers
from train.update.keys import stream_key
from train.update.step import split


def distill(config: DistillConfig | CausalDistillConfig) -> dict[str, float]:
    """Trains as the configuration says; returns the held-out metrics.

    Raises:
        InputError: teacher, student and data do not fit, or all weights of the loss are 0.
    """
    if isinstance(config, CausalDistillConfig):
        return distill_causal(config)
    return distill_encoder(config)


@alone_in_output
def distill_encoder(config: DistillConfig) -> dict[str, float]:
    """Trains a DistilBERT as the configuration says; returns the held-out metrics.

    Raises:
        InputError: teacher, student and data do not fit, or all weights of the loss are 0.
    """
    config.check()
    check_weights(config.loss)  # at once: a teacher may take minutes to open
    check_answers(config)
    check_cache(config)
    teacher, data = teacher_and_data(config)
    trained = initial_student(teacher, config)
    objective = objective_of(config, trained, teacher, data.vocabulary.special.mask)
    answers = stored_answers(config, teacher, data)
    return fit_text(
        config,
        kind="distill",
        data=data,
        model=trained,
        objective=objective,
        teacher=teacher,
        frozen=frozen(config),
        exported=exported(objective),
        constants=controls_of([config], teacher),
        answers=answers,
        term_gradients=config.term_gradients,
    )


def teacher_and_data(config: DistillConfig) -> tuple[MaskedLM, Data]:
    """The teacher, and data in its vocabulary.

    Raises:
        InputError: they do not fit.
    """
    with first_before_others():
        checkpoint = open_checkpoint(config.teacher)
        teacher = load(checkpoint, MaskedLM, dtype=compute_dtype(config))
    config.data.check_length(teacher.config.max_positions, config.teacher)
    with first_before_others():
        data = open_data(replace(config.data, tokenizer=config.data.tokenizer or checkpoint.place))
    if config.data.tokenizer:
        data.vocabulary.check_teacher(load_vocabulary(checkpoint.place))
    say(*data.vocabulary.check_rows(teacher.config.vocab_size, config.teacher))
    return teacher, data


def controls_of(configs: Iterable[DistillConfig], teacher: MaskedLM) -> dict[str, Any]:
    """The parameters of an untrained teacher, for the control of `DistillConfig.answers`.

    They are the same in every run, whatever its seed.
    """
    if not any(config.answers == "untrained" for config in configs):
        return {}
    untrained = MaskedLM(teacher.config, rngs=nnx.Rngs(params=stream_key(0, "init")))
    return {"untrained": split(untrained)[1]}


def initial_student(teacher: MaskedLM, config: DistillConfig) -> nnx.Module:
    """The student before training; with a projection if it is narrower and some term needs it."""
    rngs = nnx.Rngs(params=stream_key(config.seed, "init"))
    student = student_from_teacher(teacher, **asdict(config.student), rngs=rngs)
    student.backbone.encoder.remat = config.run.remat
    narrower = student.config.hidden_size != teacher.config.hidden_size
    terms = config.loss.terms().values()
    if narrower and any(isinstance(term, ForwardTerm) and term.same_width for term in terms):
        return LiftedStudent(student, teacher.config.hidden_size, rngs=rngs)
    return student


def objective_of(
    config: DistillConfig, trained: nnx.Module, teacher: MaskedLM, mask_id: int
) -> DistillationObjective:
    """The objective of a distillation.

    Raises:
        InputError: the loss has no term, or one that does not fit the models.
    """
    check_loss(config, student_of(trained).config, teacher.config)
    return DistillationObjective(
        nnx.graphdef(trained),
        nnx.graphdef(teacher),
        config.masking,
        mask_id,
        config.loss.terms(),
        mean=config.loss.mean,
        answers=config.answers,
        stored=config.teacher_cache is not None,
    )


def check_weights(loss: DistillationLoss) -> None:
    """Raises InputError for a loss that has no term."""
    if not loss.terms():
        raise InputError("all weights of --loss are 0: give at least one term a weight")


def check_terms(loss: DistillationLoss, student: EncoderConfig, teacher: EncoderConfig) -> None:
    """Raises InputError for a loss that has no term, or one that does not fit the models."""
    check_weights(loss)
    for name, term in loss.terms().items():
        term.check(name, student, teacher)


def check_loss(config: DistillConfig, student: EncoderConfig, teacher: EncoderConfig) -> None:
    """Raises InputError for a loss that does not fit the models, or the cache of answers."""
    check_terms(config.loss, student, teacher)
    if config.teacher_cache is not None:
        check_stored(config.loss, student, teacher)


def check_answers(config: DistillConfig) -> None:
    """Raises InputError for a control of a teacher that no term of the loss listens to."""
    if config.answers != "teacher" and not config.loss.listens:
        raise InputError(
            f"--answers {config.answers} changes nothing: no term of --loss listens to a teacher"
        )


def check_cache(config: DistillConfig) -> None:
    """Raises InputError for a cache of answers that no term of the loss listens to."""
    if config.teacher_cache is not None and not config.loss.listens:
        raise InputError("--teacher-cache is of no use: no term of --loss listens to a teacher")


def exported(objective: DistillationObjective) -> Callable[[nnx.Module], nnx.Module]:
    """A function that returns the model to export: without its head, if that was not trained."""
    return student_of if objective.vocabulary else lambda trained: student_of(trained).backbone


def frozen(config: DistillConfig) -> tuple[str, ...]:
    """Names in the paths of parameters that are not trained."""
    return ("position",) if config.freeze_positions else ()


if __name__ == "__main__":
    main(lambda: distill(choose(DISTILL, "train.distill", sys.argv[1:], about=__doc__)), hosts=True)
