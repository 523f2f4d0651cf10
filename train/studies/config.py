"""Configuration of a study: a base, and variants of it that differ in a few settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from model.errors import InputError
from model.ranges import Count, Epochs, LearningRate, Seeds
from report.naming import as_text
from report.study.folder import PublishedDelta
from report.study.search import VariantSearch
from tasks.open import TaskDataConfig
from train.config import DistillConfig
from train.studies.settings import with_settings

Control = Literal["untrained-teacher", "shuffled-teacher", "no-teacher", "start"]


@dataclass(frozen=True)
class Variant:
    """One row of a study."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of train.distill that differ from the base, by dotted name:
    {"loss.ce.temperature": 8}."""
    about: str = ""
    """A description in one line, by default the settings."""
    published: PublishedDelta | None = None
    """The result of the paper."""
    against: str | None = None
    """The variant that it is compared with, by default the first."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """Its level of each factor, where variants are crossed with conditions."""
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    """Of its terms at the start, where its weights are divided by them (`normalised.py`)."""

    @property
    def description(self) -> str:
        """A line on it: what is said about it, or its settings."""
        settings = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return self.about or settings or "the base"

    def at_rate(self, learning_rate: float) -> "Variant":
        """This variant with another peak of the learning rate."""
        rate = {"optimizer.learning_rate": learning_rate}
        return replace(self, settings={**self.settings, **rate})


def crossed(
    variants: Sequence[Variant], /, **factors: Mapping[str, Mapping[str, Any]]
) -> tuple[Variant, ...]:
    """Every variant under every condition, compared with the first variant under the same.

    A condition is a level of each of the `factors`, by name. A level has settings and a name, which
    stands in the names of its variants, "without KL, no clip"; one named "" leaves them as they
    are.
    """

    def under(variant: Variant, levels: Sequence[str]) -> Variant:
        def named(text: str) -> str:
            return ", ".join([text, *filter(None, levels)])

        settings = dict(variant.settings)
        for factor, level in zip(factors.values(), levels, strict=True):
            settings |= factor[level]
        return replace(
            variant,
            name=named(variant.name),
            settings=settings,
            about=named(variant.about) if variant.about else "",
            against=None if variant is variants[0] else named(variants[0].name),
            levels=dict(zip(factors, levels, strict=True)),
        )

    conditions = product(*factors.values())
    return tuple(under(variant, levels) for levels in conditions for variant in variants)


def combined(search: Mapping[str, Sequence[Any]], base: DistillConfig) -> tuple[Variant, ...]:
    """The base, called "default", and every combination of the values of some settings.

    The combination that the base already is is left out. Names are those of the settings but for
    their table: "ce.temperature 4, layers first".

    Raises:
        InputError: a setting is unknown, or a value of another type or out of range.
    """
    found = [Variant("default")]
    for values in product(*search.values()):
        settings = dict(zip(search, values, strict=True))
        name = ", ".join(
            f"{own.partition('.')[2] or own} {as_text(value)}" for own, value in settings.items()
        )
        if with_settings(base, settings, f"student {name!r} of the search") != base:
            found.append(Variant(name, settings))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Students that learn from one teacher, compared seed by seed with the first of them."""

    name: tyro.conf.Suppress[str]
    title: tyro.conf.Suppress[str]
    variants: tyro.conf.Suppress[tuple[Variant, ...]]
    """The first is the reference."""
    base: Annotated[DistillConfig, tyro.conf.arg(name="")]
    """The settings that all share; its seed is the first, its output the folder of the study."""
    file: tyro.conf.Suppress[Path | None] = None
    """The file that declares it; it is copied into the folder of the study."""
    seeds: Seeds = 5
    """Blocks. Inside one all variants see the same batches and masks; from 5 on there are
    intervals. More may be added to a study that has run, and its report says so."""
    primary: str = "masked_lm_accuracy"
    """The metric that decides: a held-out one, downstream_TASK, or downstream_mean. It must be
    declared before the study runs, and cannot be changed after."""
    better: Literal["higher", "lower"] = "higher"
    """The direction in which the primary metric is better."""
    downstream: tuple[str, ...] = ()
    """Tasks that every student is fine-tuned on; the development score of TASK is the metric
    downstream_TASK, and the mean over several tasks is downstream_mean."""
    task_data: TaskDataConfig = TaskDataConfig()
    task_seeds: Seeds = 1
    """Fine-tunings of every student on each task. The score is their mean, and the report tells how
    much it varies between students and between the fine-tunings of one."""
    task_epochs: Epochs | None = None
    """Epochs of fine-tuning, by default those of the task."""
    task_learning_rate: LearningRate | None = None
    """The peak of the learning rate of fine-tuning, by default that of the task."""
    task_tune: tuple[LearningRate, ...] = ()
    """Learning rates of which every student gets its best on each task, tried with a seed that its
    fine-tuning does not use. Trials of --tune are fine-tuned with the first of them."""
    controls: tuple[Control, ...] = ()
    """Students to train beside the variants, which show what the first variant with a teacher owes
    to it. They have its settings and start, and learn from the answers of a teacher with random
    weights (untrained-teacher), from the teacher's answers to other texts (shuffled-teacher),
    from masked LM alone for as many operations as training with the teacher has (no-teacher), or
    not at all (start): fine-tuned, that is a model which is only cut."""
    normalised: bool = False
    """Weights are in units of gradients: each is divided by the norm of the gradient of its term,
    as it is in the first update of the first seed, so that weights of different terms compare."""
    tune: tuple[LearningRate, ...] = ()
    """Learning rates of which every variant is given its best: the one with the best primary metric
    in a block of its own, with a seed that the study does not use."""
    tune_steps: Count | None = None
    """Updates of each trial of --tune, with a schedule of their own; by default those of the study.
    A variant with a number of its own keeps that."""
    halving: bool = False
    """Search by successive halving: of all variants the better half is kept, by the primary metric
    on one half of the held-out documents, and trained for twice as many updates, until one is left.
    That one meets the default (the first variant) and the default at the best of as many learning
    rates, on the other half of the documents and seeds that chose nothing."""
    search: tyro.conf.Suppress[VariantSearch | None] = None
    """The search that the variants have won."""


LONGEST_NAME = 255
"""Bytes in the name of a folder, on all common file systems."""

TUNING = "tuning"
"""The folder, in that of a study, in which its learning rates are tuned."""

HALVING = "halving"
"""The folder, in that of a study, that has the rungs of its search."""

SHARED = ("data", "teacher", "batch_size", "micro_batches", "dtype", "seed", "evaluate_every",
          "heldout_sequences", "term_gradients", "run", "output", "teacher_cache",
          "cache")  # fmt: skip


def variants_of(study: StudyConfig) -> dict[str, DistillConfig]:
    """The configuration of every variant, by name.

    Raises:
        InputError: two have one name, a setting is unknown or of another type, or one changes what
            all must share.
    """
    configs: dict[str, DistillConfig] = {}
    for variant in study.variants:
        name = variant.name
        if name in configs:
            raise InputError(f"two variants of the study are called {name!r}: rename one")
        alike = folder_name(name) in map(folder_name, configs)
        long = len(folder_name(name).encode()) > LONGEST_NAME
        shown = name.isprintable() and any(map(str.isalnum, name))
        if alike or long or "/" in name or not shown:
            raise InputError(
                f"a variant cannot be called {name!r:.80}: its name is that of a folder too, and "
                "must differ from the others in letters or digits, have no / and no control "
                f"character, and take at most {LONGEST_NAME} bytes"
            )
        configs[name] = with_settings(study.base, variant.settings, f"variant {name!r}")
        for shared in (*SHARED, *(("masking",) if study.base.teacher_cache else ())):
            if getattr(configs[name], shared) != getattr(study.base, shared):
                raise InputError(
                    f"variant {name!r} changes {shared}: the variants of a study share their data, "
                    "teacher and batches; set it for the whole study"
                )
    if not configs:
        raise InputError("the study has no variants")
    against = {variant.name: variant.against for variant in study.variants}
    for name, named in against.items():
        other = named or study.variants[0].name
        if other not in against or against[other] is not None:
            raise InputError(
                f"variant {name!r} is compared with {other!r}, which must be a variant that is "
                "compared with no other"
            )
    return configs


def folder_name(variant: str) -> str:
    """A variant's name as that of a folder."""
    return "".join(c if c.isalnum() or c in ".+" else "-" for c in variant)
