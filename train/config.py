"""What a run is: every field shapes the result, except those of `run`, which only carry it out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from data.config import DataConfig
from data.masking import MaskingConfig
from model.config import EncoderConfig
from model.errors import InputError, above_zero, at_least_one
from tasks.open import TaskDataConfig
from tasks.reading import Reading
from train.objectives.finetuning import TaskLoss
from train.objectives.terms import DistillationLoss
from train.update.optimizer import OptimizerConfig
from train.update.parallel import ParallelConfig


@dataclass(frozen=True)
class RunConfig(ParallelConfig):
    """How the run is carried out; may change when a run goes on."""

    checkpoint_every: int = 500
    """Updates between checkpoints; one more is saved when the run is stopped and at the end."""
    keep_checkpoints: int = 2
    """How many checkpoints stay on disk."""
    print_every: int = 100
    """Updates between lines when the output is not a terminal."""
    profile: str | None = None
    """The first and the last update to trace for xprof and TensorBoard, as 10:20."""

    def __post_init__(self) -> None:
        if self.profile is not None:
            updates_to_trace(self.profile)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What every loop has."""

    output: Path
    """The run folder: configuration, metrics, checkpoints, report and the trained model."""
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_size: int
    """Sequences an update, over all micro-batches and devices."""
    micro_batches: int = 1
    """An update's batch is run in so many parts, one after the other, to save memory."""
    steps: int | None = None
    """Updates; by default as many as `epochs` need."""
    epochs: float = 3.0
    """Passes over the data, where `steps` is not given."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the models compute in; auto: bfloat16 on TPU and GPU, float32 on CPU."""
    evaluate_every: int | None = None
    """Updates between evaluations, by default those of an epoch; also before the first and after
    the last."""
    seed: int = 56
    """Of weights drawn at random, the order of the data, masks and dropout."""
    run: RunConfig = RunConfig()

    def check(self) -> None:
        """Raises InputError for settings with which nothing could be learned or told."""
        at_least_one(self, "batch_size", "micro_batches", "steps", "evaluate_every")
        above_zero(self, "epochs")
        above_zero(self.optimizer, "clip_norm", prefix="--optimizer.")
        every = ("checkpoint_every", "print_every")
        at_least_one(self.run, "devices", "keep_checkpoints", *every, prefix="--run.")


@dataclass(frozen=True, kw_only=True)
class TextConfig(TrainConfig):
    """What the two loops have that learn from running text."""

    data: DataConfig
    masking: MaskingConfig = MaskingConfig()
    heldout_sequences: int = 1024
    """At most so many held-out sequences, evenly spread, are evaluated on."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "heldout_sequences")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(TextConfig):
    """Masked-LM pretraining of a BERT or DistilBERT."""

    model: EncoderConfig
    start: str | None = None
    """A model to go on from instead of random weights; it may have fewer layers, and the further
    ones then begin as the identity."""
    sinusoidal_start: bool = False
    """Random weights begin with sinusoids for positions, which are then trained: neighbours look
    alike from the first update."""


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """Where the student's weights come from."""

    layers: str = "original"
    """Teacher layers to copy: `original` ([0,2,4,7,9,11] of 12), `first`, `last`, `even`, `odd`,
    explicit indices such as `0,2,4,7,9,11`, or `random` for no copy at all."""
    num_layers: int | None = None
    """Layers of the student; by default half the teacher's, or as many as are named."""
    copy_head: bool = False
    """Copy the masked-LM head's dense layer and LayerNorm too: the original's --vocab_transform."""
    token_types: Literal["drop", "fold"] = "drop"
    """BERT's type-0 vector: drop it, as the original does, or add it to every position."""
    hidden_size: int | None = None
    """The student's width, by default the teacher's. Where it differs nothing can be copied: give
    --student.layers random."""
    num_heads: int | None = None
    """The student's attention heads, by default as many as the teacher has."""
    intermediate_size: int | None = None
    """The width between the two layers of its feed-forward, by default four times its own."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TextConfig):
    """Distillation of a BERT into a DistilBERT."""

    teacher: str
    """A folder or hub name of a BERT with its masked-LM head."""
    student: StudentConfig = field(default_factory=StudentConfig)
    loss: DistillationLoss = DistillationLoss()
    freeze_positions: bool = True
    """Keep the position table as it starts, as the original in effect does."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(TrainConfig):
    """Fine-tuning of a BERT or DistilBERT for one task, alone or with a fine-tuned teacher."""

    task: tyro.conf.Suppress[str]
    model: str
    """A folder or hub name: what is fine-tuned. A head that it lacks is drawn at random."""
    layers: str | None = None
    """Start as a DistilBERT of these layers of the model, as `even` or `0,2,4` (see
    --student.layers of train.distill); by default as the model itself."""
    data: TaskDataConfig = TaskDataConfig()
    reading: Reading = Reading()
    teacher: str | None = None
    """A folder or hub name of a model that was fine-tuned for the task, to learn from too."""
    loss: TaskLoss = TaskLoss()
    labels: tuple[str, ...] = ()
    """The names of the classes in the order of the model and the teacher, where these only number
    them (LABEL_0, LABEL_1) or call them otherwise than the task."""
    seeds: int = 1
    """Fine-tune with so many seeds, from `seed` on; median, mean and spread are reported."""
    report: Literal["final", "best"] = "final"
    """Report the last step, as published numbers do, or the best one, which flatters: it is chosen
    by the score that is reported."""
    buckets: int = 6
    """Texts of like lengths share batches of so many lengths at most; 1: all padded alike."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "seeds", "buckets")
        above_zero(self.loss, "temperature", prefix="--loss.")
        if not self.teacher and self.loss != TaskLoss():
            raise InputError("--loss.* weighs a teacher: name one with --teacher")
        if not (self.loss.task or self.loss.soft):
            raise InputError(
                "--loss.task and --loss.soft are 0: give at least one of them a weight"
            )


def updates_to_trace(profile: str) -> tuple[int, int]:
    """The first and the last update that `--run.profile` names.

    Raises:
        InputError: it is not of the form 10:20.
    """
    first, _, last = profile.partition(":")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise InputError(
            f"--run.profile is {profile!r}: give the first and the last update to trace, as 10:20"
        )
    return int(first), int(last)
