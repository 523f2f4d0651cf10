"""Controls of a study: students that show what a variant owes to its teacher and to its start.

A student may be better than another because its teacher knows the text, because any smooth target
helps, because the sum of losses has larger gradients, or because it began well. Each control takes
away one of these and leaves the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from model.errors import InputError
from model.terminal import say
from train.config import DistillConfig
from train.studies.config import Control, StudyConfig, Variant, variants_of
from train.studies.operations import update_operations

RATE = "optimizer.learning_rate"


def with_controls(study: StudyConfig) -> StudyConfig:
    """The study with its controls as variants; those that make no sense for it are told.

    They are of the first variant that listens to a teacher, and compared with what it is compared
    with, or with it.

    Raises:
        InputError: the variants make no study.
    """
    if not study.controls:
        return study
    configs = variants_of(study)
    listening = [v for v in study.variants if configs[v.name].loss.listens]
    if not listening:
        say("no variant of the study listens to a teacher: there is nothing to control")
        return replace(study, controls=())
    of = listening[0]
    added = []
    for control in dict.fromkeys(study.controls):
        try:
            added.append(_MAKE[control](of, configs[of.name]))
        except InputError as error:
            say(f"the control {control} of {of.name!r} is left out: {error}")
    return replace(study, variants=(*study.variants, *added), controls=())


def _control(of: Variant, name: str, about: str, settings: Mapping[str, Any]) -> Variant:
    return Variant(
        name=f"{of.name}, {name}",
        settings={**of.settings, **settings},
        about=about,
        against=of.against or of.name,
    )


def _untrained_teacher(of: Variant, config: DistillConfig) -> Variant:
    replace(config, answers="untrained")  # where its answers are stored, it says why not
    about = "answers of a model of the teacher's shape with random weights"
    return _control(of, "untrained teacher", about, {"answers": "untrained"})


def _shuffled_teacher(of: Variant, config: DistillConfig) -> Variant:
    replace(config, answers="shuffled")  # where rows are masked one by one, it says why not
    about = "the teacher's answers to another text of the batch"
    return _control(of, "shuffled teacher", about, {"answers": "shuffled"})


def _start(of: Variant, config: DistillConfig) -> Variant:
    about = "0 updates; its scores on tasks are those of a model that is cut and fine-tuned only"
    return _control(of, "start", about, {RATE: 0})


def _no_teacher(of: Variant, config: DistillConfig) -> Variant:
    terms = config.loss.terms().items()
    settings: dict[str, Any] = {f"loss.{name}.weight": 0 for name, term in terms if term.listens}
    settings["loss.mlm.weight"] = config.loss.mlm.weight or 1
    ratio = compute_ratio(config)
    if config.steps is None:
        settings["epochs"] = config.epochs * ratio
    else:
        settings["steps"] = round(config.steps * ratio)
    about = f"masked LM alone, {ratio:.2f} times the updates: the operations of the teacher's, too"
    return _control(of, "no teacher, equal compute", about, settings)


_MAKE: Mapping[Control, Callable[[Variant, DistillConfig], Variant]] = {
    "untrained-teacher": _untrained_teacher,
    "shuffled-teacher": _shuffled_teacher,
    "no-teacher": _no_teacher,
    "start": _start,
}


def compute_ratio(config: DistillConfig) -> float:
    """The operations of an update of a distillation over those of masked LM alone, same student."""
    alone = replace(config, loss=config.loss.with_weights(mlm=1.0), answers="teacher")
    return update_operations(config) / update_operations(alone)
