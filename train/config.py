"""The configuration of a run. Every field affects the result, except those of `run`."""

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import tyro

from data.config import DataConfig
from data.masking import MaskingConfig
from model.config import Depth, Dropout, EncoderConfig, Heads, InnerWidth, Width
from model.errors import InputError
from model.ranges import Count, Epochs, LearningRate, Range, Rows, Seeds, check_settings
from report.first_hour import FirstHour
from tasks.open import TaskDataConfig
from tasks.reading import BeamSettings, Reading
from train.loop.tracking import check_tracker
from train.objectives.finetuning import TaskLoss
from train.objectives.forward import AnswersOf
from train.objectives.terms import CausalLoss, DistillationLoss
from train.teacher_cache.config import TeacherCacheConfig
from train.update.optimizer import OptimizerConfig
from train.update.parallel import ParallelConfig

MOST_SEED = 10**9


@dataclass(frozen=True)
class RunConfig(ParallelConfig):
    """The execution of a run; these settings may change when it is resumed."""

    checkpoint_every: Count = 500
    """Updates between checkpoints; another is saved when the run is stopped and at the end."""
    keep_checkpoints: Count = 2
    """The number of checkpoints that are kept on disk."""
    print_every: Count = 100
    """Updates between lines when the output is not a terminal."""
    profile: str | None = None
    """The first and the last update to trace for xprof and TensorBoard, as 10:20."""
    track: Literal["wandb", "trackio"] | None = None
    """A library, to be installed apart, that gets the numbers of metrics.jsonl, too."""

    def __post_init__(self) -> None:
        if self.profile is not None:
            updates_to_trace(self.profile)
        check_tracker(self.track)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of every loop."""

    output: Path
    """The run folder: configuration, metrics, checkpoints, report and the trained model."""
    optimizer: OptimizerConfig = OptimizerConfig()
    batch_size: Rows
    """Sequences in an update, over all micro-batches and devices."""
    micro_batches: Rows = 1
    """The parts of an update's batch, which run one after the other to save memory."""
    steps: Count | None = None
    """Updates; by default, and where --epochs is given, as many as `epochs` need."""
    epochs: Epochs = 3.0
    """Passes over the data, in place of `steps`; as few updates as cover them."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """The dtype of the models' activations; auto: bfloat16 on TPU and GPU, float32 on CPU. Products
    of float32 are not rounded to a shorter type, which is several times as slow on TPU and GPU."""
    evaluate_every: Count | None = None
    """Updates between evaluations, by default those of an epoch. There is also an evaluation before
    the first update and after the last."""
    seed: Annotated[int, Range(0, MOST_SEED)] = 56
    """The seed of random weights, the order of the data, masks and dropout."""
    run: RunConfig = RunConfig()

    @property
    def group_rows(self) -> int:
        """The number of rows that go together, see `Parallel.check_rows`."""
        return 1

    def updates(self, epoch: Fraction) -> int:
        """The updates of a run: the fewest that cover `epochs` epochs of `epoch` updates each."""
        # Of the number as it is written: 0.07 times 100 is above 7 in floating point.
        return self.steps or max(math.ceil(Fraction(str(self.epochs)) * epoch), 1)

    def check(self) -> None:
        """Raises InputError for settings out of their range, or that do not go together."""
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class TextConfig(TrainConfig):
    """The settings of pretraining and distillation, which learn from running text."""

    data: DataConfig
    heldout_sequences: Count = 1024
    """The largest number of held-out sequences to evaluate on, evenly spread."""
    first_hour: tyro.conf.Suppress[FirstHour | None] = None
    """Bands in which the first updates are expected, for the report."""


@dataclass(frozen=True, kw_only=True)
class MaskedConfig(TextConfig):
    """The settings of those that learn from masked text."""

    masking: MaskingConfig = MaskingConfig()

    @property
    def group_rows(self) -> int:
        return self.masking.group_rows


@dataclass(frozen=True, kw_only=True)
class CausalConfig(TextConfig):
    """Pretraining of a BERT that reads from left to right, by the prediction of the next token."""

    model: EncoderConfig


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(MaskedConfig):
    """Masked-LM pretraining of a BERT or DistilBERT."""

    model: EncoderConfig
    start: str | None = None
    """A model to start from instead of random weights. It may have fewer layers; the others then
    start as the identity."""
    sinusoidal_start: bool = False
    """Start with sinusoids as positions instead of random ones, and train them: neighbours are
    similar from the first update."""


@dataclass(frozen=True, kw_only=True)
class FrozenLayers:
    """The lowest layers of a trained model, left as they are."""

    frozen_layers: Annotated[int, Range(0, 256)] | None = None
    """Do not train the embeddings and so many of the lowest layers; with 0 the embeddings alone."""

    @property
    def frozen(self) -> tuple[str, ...]:
        """Parts of the model that are not trained, as `make_optimizer` has them."""
        if self.frozen_layers is None:
            return ()
        return ("embeddings", *(f"layers.{number}" for number in range(self.frozen_layers)))

    def check_depth(self, layers: int) -> None:
        """Raises InputError if a model of so many layers has fewer."""
        if (self.frozen_layers or 0) > layers:
            raise InputError(f"--frozen-layers {self.frozen_layers}: the model has {layers} layers")


@dataclass(frozen=True, kw_only=True)
class FurtherConfig(FrozenLayers, MaskedConfig):
    """Masked-LM pretraining of a trained model on text of a domain (Gururangan et al. 2020)."""

    start: str
    """The model to train further, a folder or hub name: it gives shape, positions and tokenizer."""
    start_head: Literal["loaded", "random"] = "loaded"
    """The masked-LM head to begin with: the model's own, or a random one for a model without it."""
    other_heldout: tuple[str, ...] = ()
    """Text of another domain to evaluate on as well, named like --data.heldout: how much the model
    forgets of what it learned from."""


@dataclass(frozen=True, kw_only=True)
class SeveralTerms:
    """Of a loss with several terms, more to measure."""

    term_gradients: bool = False
    """Also measure the gradient of each term alone in the first, the middle and the last update:
    norms and cosines, for the report. It takes a pass for each term in these three, and memory for
    as many gradients; what is trained is the same."""


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """The student's shape and the source of its weights."""

    layers: str = "original"
    """Teacher layers to copy: `original` ([0,2,4,7,9,11] of 12), `first`, `last`, `even`, `odd`,
    explicit indices such as `0,2,4,7,9,11`, or `random` for no copy at all."""
    num_layers: Depth | None = None
    """Layers of the student; by default half the teacher's, or the number of indices given."""
    copy_head: bool = False
    """Copy the masked-LM head's dense layer and LayerNorm too: the original's --vocab_transform."""
    token_types: Literal["drop", "fold"] = "drop"
    """BERT's type-0 vector: drop it, as the original does, or add it to every position."""
    hidden_size: Width | None = None
    """The student's width, by default the teacher's. With another width nothing can be copied:
    give --student.layers random."""
    num_heads: Heads | None = None
    """The student's attention heads, by default the teacher's number."""
    intermediate_size: InnerWidth | None = None
    """The width inside the student's feed-forward: by default the teacher's, or four times the
    student's width if that differs."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig(SeveralTerms, MaskedConfig):
    """Distillation of a BERT into a DistilBERT."""

    teacher: str
    """A folder or hub name of a BERT with its masked-LM head."""
    student: StudentConfig = field(default_factory=StudentConfig)
    loss: DistillationLoss = DistillationLoss()
    answers: AnswersOf = "teacher"
    """Whose answers the student learns from. Controls, to see what the teacher's are worth:
    `untrained` asks a model of the teacher's shape with random weights, and `shuffled` the teacher
    about another row of those that are masked together. Held-out text is still compared with the
    teacher's own answers."""
    freeze_positions: bool = True
    """Do not train the position table; the original's code has this effect."""
    teacher_cache: Path | None = None
    """A folder that keeps the teacher's answers to the training text: they are computed before the
    first update that needs them, and used in all epochs and by all later runs."""
    cache: TeacherCacheConfig = TeacherCacheConfig()

    def __post_init__(self) -> None:
        if self.teacher_cache is not None and self.masking.group_rows != 1:
            raise InputError(
                f"--teacher-cache keeps the answers to each sequence under masks of its own, and "
                f"--masking.group-rows is {self.masking.group_rows}: make it 1"
            )
        if self.teacher_cache is not None and self.answers != "teacher":
            raise InputError(
                f"--teacher-cache keeps the teacher's own answers, and --answers {self.answers} "
                "asks for others: leave out one of them"
            )
        if self.answers == "shuffled" and self.masking.group_rows < 2:
            raise InputError(
                "--answers shuffled gives a row the answers to another of those that are masked "
                "together, and --masking.group-rows is 1: make it 2 or more"
            )


@dataclass(frozen=True, kw_only=True)
class CausalStudentConfig:
    """The layers of a decoder's student; embeddings and head are the teacher's, too."""

    layers: str = "original"
    """Teacher layers to copy: `original` (evenly spaced from the first to the last), `first`,
    `last`, `even`, `odd`, or explicit indices such as `0,2,5`."""
    num_layers: Depth | None = None
    """Layers of the student; by default half the teacher's, or the number of indices given."""


@dataclass(frozen=True, kw_only=True)
class CausalDistillConfig(SeveralTerms, TextConfig):
    """Distillation of a decoder into one with fewer layers."""

    teacher: str
    """A folder or hub name of a BERT that reads from left to right, with its head."""
    student: CausalStudentConfig = CausalStudentConfig()
    loss: CausalLoss = CausalLoss()


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(FrozenLayers, TrainConfig):
    """Fine-tuning of a BERT or DistilBERT for one task, alone or with a fine-tuned teacher."""

    task: tyro.conf.Suppress[str]
    model: str
    """A folder or hub name of the model to fine-tune. A missing head is drawn at random.
    `random:3x384:8192` is a DistilBERT with random weights, 3 layers, 384 wide, with 8,192 pieces
    learned from the training texts; `random:3x384:8192:cased` keeps their capitals. To write texts
    `random:3+1x384:8192` has 3 layers that read and 1 that writes."""
    layers: str | None = None
    """Start as a DistilBERT of these layers of the model, as `even` or `0,2,4` (see
    --student.layers of train.distill); by default as the model itself."""
    decoder_layers: str | None = None
    """For models that write texts: start the decoder from these layers, as `0,2,4` (Shleifer and
    Rush 2020 for a model that writes already; of an encoder Rothe et al. 2020); by default all."""
    dropout: Dropout | None = None
    """The dropout of hidden states and of attention; by default the model's own."""
    data: TaskDataConfig = TaskDataConfig()
    reading: Reading = Reading()
    search: BeamSettings = BeamSettings()
    """How texts are written, also by the model that is left; by default with 4 beams."""
    teacher: str | None = None
    """A folder or hub name of a model fine-tuned for the task, to learn from as well."""
    loss: TaskLoss = TaskLoss()
    class_weights: Literal["equal", "balanced"] = "equal"
    """The weight of a class in the loss on the labels: 1, or with `balanced` what lets all classes
    count the same, however rare. Over the training examples it is 1 on average."""
    label_smoothing: Annotated[float, Range(0, 0.99)] = 0.0
    """The share of a label's probability that all classes divide evenly (Szegedy et al. 2016); for
    `multilabel` the two classes of each label are given and not given, and where texts are written
    the classes are the tokens."""
    decoder_rate: Annotated[float, Range(0, 1000, above=True)] = 1.0
    """For models that write texts: the learning rate of the decoder over that of the encoder, which
    has the configured one."""
    layer_decay: Annotated[float, Range(0, 1, above=True)] = 1.0
    """The learning rate of a layer over that of what is above it, down to the embeddings; the head
    has the rate itself (Howard & Ruder 2018)."""
    labels: tuple[str, ...] = ()
    """The names of the classes in the order of the model and the teacher, if these only number
    them (LABEL_0, LABEL_1) or use other names than the task."""
    seeds: Seeds = 1
    """The number of seeds, from `seed` on; median, mean and spread of the scores are reported."""
    tune: tuple[LearningRate, ...] = ()
    """Learning rates of which the one with the best score is taken: each is tried first, with a
    seed that the run does not use, in a folder beside --output."""
    report: Literal["final", "best"] = "final"
    """Report the last step, as published numbers do, or the best one, and leave its model. The best
    is too optimistic, because it is chosen by the score that is reported."""
    patience: Count | None = None
    """End training after so many evaluations in a row without a better score, with --report best.
    The learning rate falls as if it went on to the end."""
    buckets: Annotated[int, Range(1, 1000)] = 6
    """The largest number of lengths of batches: texts of similar length share a batch. With 1 all
    texts are padded to the same length."""

    def check(self) -> None:
        super().check()
        if not self.teacher and self.loss != TaskLoss():
            raise InputError("--loss.* needs a teacher: name one with --teacher")
        if self.tune and self.seed == 0:
            raise InputError(
                "--seed is 0, and --tune tries rates with the seed before: give 1 or more"
            )
        if self.patience is not None and self.report != "best":
            raise InputError(
                f"--patience {self.patience} waits for a better score, and the last step is "
                "reported, whatever its score: add --report best, or leave it out"
            )
        if not (self.loss.task or self.loss.soft):
            raise InputError(
                "--loss.task and --loss.soft are 0: give at least one of them a weight"
            )


def updates_to_trace(profile: str) -> tuple[int, int]:
    """The first and the last update that `--run.profile` names.

    Raises:
        InputError: it is not of the form 10:20.
    """
    named = re.fullmatch(r"([1-9]\d{0,8}):([1-9]\d{0,8})", profile, re.ASCII)
    if not named or int(named[1]) > int(named[2]):
        raise InputError(
            f"--run.profile is {profile!r}: give the first and the last update to trace, as 10:20"
        )
    return int(named[1]), int(named[2])
