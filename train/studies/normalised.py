"""Weights of a study in units of gradients, so that equal weights of two terms mean as much.

A weight of 1 says nothing of how far a term moves the student: the squared error of logits may have
a gradient a thousand times as long as the cosine's. Divided by the length of its gradient at the
start, a weight says how long the term's share in the first gradient is.
"""

from collections.abc import Mapping
from dataclasses import replace

import jax

from model.errors import InputError
from model.terminal import say
from report.gradients import norm_name
from report.study.folder import STUDY, read_declaration
from train.objectives.schedule import Number
from train.objectives.terms import DistillationLoss
from train.studies.cohort import cohorts_of
from train.studies.config import StudyConfig, variants_of

Norms = Mapping[str, float]
"""The length of the gradient of each term, by name."""


def with_normalised_weights(study: StudyConfig) -> StudyConfig:
    """The study with the weights of all variants divided by the norms of their terms' gradients.

    These are of the first update of the first seed, which is the same whenever it is measured; a
    study that was declared has them in its study.json.

    Raises:
        InputError: the variants make no study; a gradient has length 0 or is not finite; the folder
            holds a study with other weights.
    """
    if not study.normalised:
        return study
    configs = variants_of(study)
    declared = study.base.output / STUDY
    if declared.exists():
        known = read_declaration(declared.parent).variants
        norms = {name: known[name].gradient_norms for name in configs if name in known}
    else:
        norms = first_norms(study)
    variants = []
    for variant in study.variants:
        loss, own = configs[variant.name].loss, norms.get(variant.name, {})
        if own.keys() != loss.terms().keys():
            raise InputError(
                f"{declared.parent} holds another study, in which {variant.name!r} has no gradient "
                "norms of these terms: choose another folder with --output"
            )
        settings = {**variant.settings, **in_units(loss, own, variant.name)}
        about = variant.description
        variants.append(replace(variant, settings=settings, about=about, gradient_norms=own))
    return replace(study, variants=tuple(variants), normalised=False)


def first_norms(study: StudyConfig) -> dict[str, Norms]:
    """The norms of the gradients of all terms in the first update of the first seed, by variant."""
    say("measuring the gradients of the terms at the start, in whose norms the weights are given")
    norms = {}
    for cohort in cohorts_of(study.base, variants_of(study), study.primary):
        measured = jax.device_get(cohort.compile_term_gradients()(*cohort.first_inputs()))
        for name, config in cohort.students.items():
            terms = config.loss.terms()
            norms[name] = {term: float(measured[f"{name}/{norm_name(term)}"]) for term in terms}
    return norms


def in_units(loss: DistillationLoss, norms: Norms, variant: str) -> dict[str, Number]:
    """The settings of the weights of a loss, each divided by the norm of its term.

    Raises:
        InputError: a norm is 0 or not finite.
    """
    settings: dict[str, Number] = {}
    for name, term in loss.terms().items():
        norm = norms[name]
        if not 0 < norm < float("inf"):
            raise InputError(
                f"variant {variant!r}: the gradient of {name} has length {norm:g} at the start, "
                "and its weight would be divided by that: leave out the term, or --normalised"
            )
        weight = term.weight
        settings[f"loss.{name}.weight"] = (
            (weight[0] / norm, weight[1] / norm) if isinstance(weight, tuple) else weight / norm
        )
    return settings
