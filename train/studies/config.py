"""What a study is: a base, and variants of it that differ in a few flags."""

import contextlib
import io
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Annotated, Any, Literal

import tyro

from model.errors import InputError, did_you_mean
from report.study.folder import Published
from tasks.open import TaskDataConfig
from train.config import DistillConfig


@dataclass(frozen=True)
class Variant:
    """One row of a study."""

    name: str
    about: str = ""
    """What it is, in one line."""
    flags: str = ""
    """What differs from the base, as flags of train.distill: "--loss.ce.weight 0"."""
    published: Published | None = None
    """What the paper reports of it."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Students that learn from one teacher, compared seed by seed with the first of them."""

    name: tyro.conf.Suppress[str]
    title: tyro.conf.Suppress[str]
    variants: tyro.conf.Suppress[tuple[Variant, ...]]
    """The first is the reference."""
    base: Annotated[DistillConfig, tyro.conf.arg(name="")]
    """What all have in common; its seed is the first, its output the folder of the study."""
    seeds: int = 5
    """Blocks. Inside one all variants see the same batches and masks; from 5 on there are
    intervals."""
    primary: str = "masked_lm_accuracy"
    """The metric that decides: a held-out one, or downstream_TASK. It must be declared before the
    study runs, and cannot be changed after."""
    better: Literal["higher", "lower"] = "higher"
    """Which way the primary metric is better."""
    downstream: tuple[str, ...] = ()
    """Tasks that every student is fine-tuned on; the development score of TASK is the metric
    downstream_TASK."""
    task_data: TaskDataConfig = TaskDataConfig()
    task_epochs: float | None = None
    """Epochs of fine-tuning, by default those of the task."""
    task_learning_rate: float | None = None
    """The peak of the learning rate of fine-tuning, by default that of the task."""
    tune: tuple[float, ...] = ()
    """Learning rates of which every variant is given its best: the one with the best primary metric
    in a block of its own, with a seed that the study does not use."""


TUNING = "tuning"
"""The folder, in that of a study, in which its learning rates are tuned."""

SHARED = ("data", "teacher", "batch_size", "micro_batches", "steps", "epochs", "dtype", "seed",
          "evaluate_every", "heldout_sequences", "run", "output")  # fmt: skip


def variants_of(study: StudyConfig) -> dict[str, DistillConfig]:
    """The configuration of every variant, by name.

    Raises:
        InputError: two have one name, a flag is unknown, or one changes what all must share.
    """
    configs: dict[str, DistillConfig] = {}
    for variant in study.variants:
        name = variant.name
        if name in configs:
            raise InputError(f"two variants of the study are called {name!r}: rename one")
        alike = folder_name(name) in map(folder_name, configs)
        if alike or "/" in name or not any(map(str.isalnum, name)):
            raise InputError(
                f"a variant cannot be called {name!r}: its name is that of a folder too, and must "
                "differ from the others in letters or digits and have no /"
            )
        configs[name] = changed(study.base, variant.flags, f"variant {name!r}")
        for field in SHARED:
            if getattr(configs[name], field) != getattr(study.base, field):
                raise InputError(
                    f"variant {name!r} changes {field}: the variants of a study share their data, "
                    "teacher, batches and number of updates; give such a flag to the whole study"
                )
    if not configs:
        raise InputError("the study has no variants")
    return configs


def folder_name(variant: str) -> str:
    """A variant's name as that of a folder."""
    return "".join(c if c.isalnum() or c in ".+" else "-" for c in variant)


def changed(base: DistillConfig, flags: str, where: str) -> DistillConfig:
    """The configuration with some flags of train.distill.

    Raises:
        InputError: one is unknown, or its value cannot be read; the message begins with `where`.
    """
    try:
        arguments = shlex.split(flags)
    except ValueError as error:
        raise InputError(f"{where}: {flags!r} cannot be read: {error}") from error
    known = dict.fromkeys(flag_names(base))
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in known:
            hint = did_you_mean(flag, known, cutoff=0.0)
            raise InputError(f"{where}: train.distill has no flag {flag}; {hint}")
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(DistillConfig, default=base, args=arguments)
    except SystemExit:
        text = " ".join(line.strip("│╭╮╰╯─ ") for line in told.getvalue().splitlines()[1:])
        reason = text.partition("Got errors")[0].partition("Argument helptext")[0].strip(" .")
        raise InputError(f"{where}: {reason}") from None


def flag_names(config: Any, prefix: str = "--") -> Iterator[str]:
    """The flags that change a configuration."""
    for field in fields(config):
        value, name = getattr(config, field.name), field.name.replace("_", "-")
        if is_dataclass(value):
            yield from flag_names(value, f"{prefix}{name}.")
        elif isinstance(value, bool):
            yield from (f"{prefix}{name}", f"{prefix}no-{name}")
        else:
            yield f"{prefix}{name}"


def with_rates(study: StudyConfig, rates: dict[str, float]) -> StudyConfig:
    """The study with a learning rate of its own for every variant."""
    variants = tuple(
        replace(v, flags=f"{v.flags} --optimizer.learning-rate {rates[v.name]:g}")
        for v in study.variants
    )
    return replace(study, variants=variants, tune=())
