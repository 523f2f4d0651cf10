"""The recipes: each one named configuration, with what it reproduces and what to expect.

A recipe is a function so that its docstring can say so; `--help` shows it. Flags change its fields.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from data.config import DataConfig
from data.masking import MaskingConfig
from data.tasks import TASKS, Task
from model import config as models
from train.config import DistillConfig, FinetuneConfig, PretrainConfig, RunConfig, StudentConfig
from train.optimizer import OptimizerConfig
from train.terms import AttentionScores, DistillationLoss, HiddenError, Relations

TINY_TEACHER = str(Path(__file__).resolve().parent.parent / "assets" / "bert-tiny-pydocs")

WIKIPEDIA = "wikimedia/wikipedia:20231101.en"
# The hub runs no loading scripts any more; the converted copy of a script-only set still loads.
BOOKCORPUS = "bookcorpus/bookcorpus@refs/convert/parquet"


def pretrain_tiny_shallow() -> PretrainConfig:
    """Two layers, 128 wide, on the Python documentation: what `tiny` starts from.

    python -m train.pretrain tiny-shallow
    Two CPU cores, about ten minutes. 2,048 tokens an update (32 sequences of 64), 4,000 updates.
    For 1,700 of them the loss stands little below the unigram level; then attention has learned
    what neighbours are, and it falls. Twelve layers from random weights had not come so far after
    2,500 updates, each of which takes several times as long.
    """
    return PretrainConfig(
        output=Path("runs/pretrain-tiny-shallow"),
        model=models.tiny_bert().replace(num_layers=2),
        data=DataConfig(tokenizer="wordpiece:8192", sequence_length=64),
        masking=MaskingConfig(group_rows=2),
        optimizer=OptimizerConfig(
            learning_rate=2e-3, warmup_share=0.02, weight_decay=0.01, clip_norm=1.0
        ),
        sinusoidal_start=True,
        batch_size=32,
        steps=4000,
        evaluate_every=1000,
    )


def pretrain_tiny() -> PretrainConfig:
    """Twelve layers, 128 wide, on the Python documentation; half an hour.

    The second of three steps to the shipped teacher. It starts from the first, `tiny-shallow`, with
    ten further layers, which change nothing at first.

    python -m train.pretrain tiny
    Two CPU cores, about 0.35 s an update. Held-out numbers: docs/results.md.
    2,048 tokens an update (32 sequences of 64), 2,500 updates.
    """
    return PretrainConfig(
        output=Path("runs/pretrain-tiny"),
        model=models.tiny_bert(),
        start="runs/pretrain-tiny-shallow/model",
        data=DataConfig(tokenizer="wordpiece:8192", sequence_length=64),
        masking=MaskingConfig(group_rows=2),
        optimizer=OptimizerConfig(learning_rate=1e-3, weight_decay=0.01, clip_norm=1.0),
        batch_size=32,
        steps=2500,
        evaluate_every=1000,
    )


def pretrain_tiny_further() -> PretrainConfig:
    """The shipped teacher: what `tiny` came to, trained further; half an hour.

    The last of three steps; reproduces assets/bert-tiny-pydocs.

    python -m train.pretrain tiny-further
    Two CPU cores, about 0.35 s an update. Held-out numbers: docs/results.md.
    2,048 tokens an update (32 sequences of 64), 3,000 updates.
    """
    return replace(
        pretrain_tiny(),
        output=Path("runs/pretrain-tiny-further"),
        start="runs/pretrain-tiny/model",
        steps=3000,
    )


def pretrain_bert_base_uncased() -> PretrainConfig:
    """BERT-base as in Devlin et al. 2019, but for next sentence and with dynamic masks.

    256 sequences of 512 tokens (131,072 tokens an update), 1,000,000 updates, learning rate 1e-4
    after 10,000, decay 0.01. The paper: 4 days on 16 TPU chips. It has not been run here.
    """
    return PretrainConfig(
        output=Path("runs/pretrain-bert-base-uncased"),
        model=models.bert_base(),
        data=DataConfig(
            tokenizer="google-bert/bert-base-uncased",
            corpus=(WIKIPEDIA, BOOKCORPUS),
            sequence_length=512,
        ),
        optimizer=OptimizerConfig(
            learning_rate=1e-4,
            warmup_share=0.01,
            beta2=0.999,
            weight_decay=0.01,
            clip_norm=1.0,
        ),
        batch_size=256,
        steps=1_000_000,
        evaluate_every=10_000,
        run=RunConfig(checkpoint_every=5000),
    )


def distill_tiny() -> DistillConfig:
    """Twelve layers of the shipped teacher into six; some minutes on a laptop's CPU.

    The triple loss 5/2/1 at temperature 2 as in the large recipes. 2,048 tokens an update (32
    sequences of 64), 500 updates. Unlike the original the student starts with the teacher's
    masked-LM head too: there is no time to learn one.
    """
    return DistillConfig(
        output=Path("runs/distill-tiny"),
        teacher=TINY_TEACHER,
        data=DataConfig(sequence_length=64),
        masking=MaskingConfig(smoothing=0.7, group_rows=2),
        student=StudentConfig(copy_head=True),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        batch_size=32,
        steps=500,
        evaluate_every=100,
        run=RunConfig(checkpoint_every=100, print_every=20),
    )


def distill_distilbert_base_uncased() -> DistillConfig:
    """DistilBERT from bert-base-uncased, by the recipe of the original code's README.

    Loss weights 5/2/1, temperature 2, AdamW 0.9/0.98/1e-6, learning rate 5e-4 without decay, 5 %
    warm-up, clip 5, 3 epochs; positions frozen at the teacher's. Which weights, batch and number of
    epochs made the released model is unpublished.

    English Wikipedia and BookCorpus, one text one sequence (`lines`), 4,096 sequences of up to 512
    tokens an update: at most 2.1 M tokens, far fewer where texts are short. About 22,000 updates
    for the paper's corpus at 128 tokens a line, 5,600 when packed to full length
    (--data.mode packed). The original: 8 V100 GPUs, 90 hours, GLUE 77.0 (published). Not run here.
    """
    return DistillConfig(
        output=Path("runs/distilbert-base-uncased"),
        teacher="google-bert/bert-base-uncased",
        data=DataConfig(corpus=(WIKIPEDIA, BOOKCORPUS), mode="lines", sequence_length=512),
        masking=MaskingConfig(smoothing=0.7),
        optimizer=OptimizerConfig(),
        batch_size=4096,
        micro_batches=16,
        epochs=3.0,
        evaluate_every=500,
        run=RunConfig(checkpoint_every=250),
    )


def distill_distilbert_base_cased() -> DistillConfig:
    """DistilBERT from bert-base-cased: the uncased recipe with the cased teacher (GLUE 75.9)."""
    return replace(
        distill_distilbert_base_uncased(),
        output=Path("runs/distilbert-base-cased"),
        teacher="google-bert/bert-base-cased",
    )


def distill_distilbert_base_multilingual_cased() -> DistillConfig:
    """DistilBERT from multilingual BERT on Wikipedias.

    The original read 104 of them; here the ten largest of the teacher's languages, and more are
    named with --data.corpus. Published: XNLI 78.2 (en), 69.1 (es), 64.0 (zh). Not run here.
    """
    languages = ("en", "de", "fr", "es", "it", "ru", "pl", "ja", "zh", "nl")
    uncased = distill_distilbert_base_uncased()
    return replace(
        uncased,
        output=Path("runs/distilbert-base-multilingual-cased"),
        teacher="google-bert/bert-base-multilingual-cased",
        data=replace(
            uncased.data,
            corpus=tuple(f"wikimedia/wikipedia:20231101.{language}" for language in languages),
        ),
    )


def distill_wikitext_103() -> DistillConfig:
    """The cheapest published check: 0.1 B tokens, 3 epochs, 240 sequences an update.

    Wu et al.'s re-implementation (frankaging/Causal-Distill) reports a GLUE average over 8 tasks of
    75.80 for this setting (published). It weighs its losses equally; the weights of its baseline
    are not stated, so 1/3 each is an assumption. Not run here: well under one TPU v5e chip-hour.
    """
    uncased = distill_distilbert_base_uncased()
    return replace(
        uncased,
        output=Path("runs/wikitext-103"),
        data=replace(uncased.data, corpus=("Salesforce/wikitext:wikitext-103-v1",)),
        loss=DistillationLoss().with_weights(ce=1 / 3, mlm=1 / 3, cos=1 / 3),
        batch_size=240,
        micro_batches=1,
        masking=MaskingConfig(smoothing=0.7, group_rows=5),
    )


def distill_tinybert_general() -> DistillConfig:
    """The objective of TinyBERT's general distillation (Jiao et al. 2020, section 3).

    Attention scores, hidden states and embeddings of uniformly spread layers, all of weight 1: a
    4-layer student 312 wide, from random weights, on 128 tokens, 256 sequences an update, 3 epochs
    of Wikipedia (published). Learned positions as there.

    It differs: means run over attended tokens and not over padding, masks are drawn anew at every
    step, and optimizer and learning rate are DistilBERT's. The vocabulary's head does not learn, so
    the exported model has none: compare students by what fine-tuning makes of them. Not run here.
    """
    uncased = distill_distilbert_base_uncased()
    return replace(
        uncased,
        output=Path("runs/tinybert-general"),
        data=replace(uncased.data, corpus=(WIKIPEDIA,), mode="packed", sequence_length=128),
        masking=MaskingConfig(),
        student=StudentConfig(
            layers="random",
            num_layers=4,
            hidden_size=312,
            num_heads=12,
            intermediate_size=1200,
        ),
        loss=DistillationLoss(
            hidden=HiddenError(layers="uniform"), attention=AttentionScores(layers="uniform")
        ).with_weights(hidden=1.0, embeddings=1.0, attention=1.0),
        freeze_positions=False,
        batch_size=256,
        micro_batches=1,
    )


def distill_minilmv2() -> DistillConfig:
    """The objective of MiniLMv2 (Wang et al. 2021, section 3): relations of the last layer.

    Queries, keys and values of the teacher's last layer, in 48 relation heads, for a student of 6
    layers, 768 wide, from random weights (published for a BERT-base teacher).

    It differs: student and teacher read masked text, which that paper does not say of its own, and
    corpus, batch and optimizer are those of `distilbert-base-uncased`. The vocabulary's head does
    not learn, so the exported model has none: compare students by what fine-tuning makes of them.
    Not run here.
    """
    return replace(
        distill_distilbert_base_uncased(),
        output=Path("runs/minilmv2"),
        student=StudentConfig(layers="random", num_layers=6),
        loss=DistillationLoss(relations=Relations(heads=48)).with_weights(relations=1.0),
        freeze_positions=False,
    )


def distill_patient_kd() -> DistillConfig:
    """The patient term of Patient KD (Sun et al. 2019, section 3.2), on running text.

    Hidden states of every second teacher layer but the last, divided by their length.

    It differs: that paper distils a fine-tuned teacher on a task, at [CLS] alone and beside the
    task's own losses; here all tokens of plain text count and no other loss. The vocabulary's head
    does not learn, so the exported model has none: compare students by what fine-tuning makes of
    them. Not run here.
    """
    return replace(
        distill_distilbert_base_uncased(),
        output=Path("runs/patient-kd"),
        loss=DistillationLoss(
            hidden=HiddenError(layers="0:1,1:3,2:5,3:7,4:9", normalised=True)
        ).with_weights(hidden=1.0),
    )


def finetune_recipe(task: Task) -> Callable[[], FinetuneConfig]:
    """The recipe of a task: its hyper-parameters, with the optimizer of Devlin et al. 2019."""

    def recipe() -> FinetuneConfig:
        return FinetuneConfig(
            output=Path(f"runs/finetune-{task.name}"),
            task=task.name,
            model="distilbert/distilbert-base-uncased",
            optimizer=OptimizerConfig(
                learning_rate=task.learning_rate,
                warmup_share=0.1,
                beta2=0.999,
                epsilon=1e-8,
                weight_decay=0.01,
                clip_norm=1.0,
            ),
            batch_size=task.batch_size,
            epochs=task.epochs,
            seed=1,
        )

    recipe.__doc__ = f"""{task.title}: fine-tuning as in Devlin et al. 2019, appendix A.3.

    {task.batch_size} examples an update, {task.epochs:g} epochs; the learning rate rises to
    {task.learning_rate:g} over 10 % of them and falls to 0; decay 0.01. What the DistilBERT paper
    used is unpublished.

    python -m train.finetune {task.name} --model MODEL
    """
    return recipe


PRETRAIN: dict[str, Callable[[], PretrainConfig]] = {
    "tiny-shallow": pretrain_tiny_shallow,
    "tiny": pretrain_tiny,
    "tiny-further": pretrain_tiny_further,
    "bert-base-uncased": pretrain_bert_base_uncased,
}

DISTILL: dict[str, Callable[[], DistillConfig]] = {
    "tiny": distill_tiny,
    "distilbert-base-uncased": distill_distilbert_base_uncased,
    "distilbert-base-cased": distill_distilbert_base_cased,
    "distilbert-base-multilingual-cased": distill_distilbert_base_multilingual_cased,
    "wikitext-103": distill_wikitext_103,
    "tinybert-general": distill_tinybert_general,
    "minilmv2": distill_minilmv2,
    "patient-kd": distill_patient_kd,
}

FINETUNE: dict[str, Callable[[], FinetuneConfig]] = {
    name: finetune_recipe(task)
    for name, task in TASKS.items()
    if task.published is None or "train" in task.published.files
}
