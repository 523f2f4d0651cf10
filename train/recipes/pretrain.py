"""Recipes of train.pretrain."""

from dataclasses import replace
from pathlib import Path

from data.config import DataConfig
from data.masking import MaskingConfig
from model import config as models
from train.config import FurtherConfig, PretrainConfig, RunConfig
from train.recipes.first_hour import of_bert_base
from train.update.optimizer import OptimizerConfig

WIKIPEDIA_COMMIT = "b04c8d1ceb2f5cd4588862100d08de323dccfbaa"
WIKIPEDIA = f"wikimedia/wikipedia:20231101.en@{WIKIPEDIA_COMMIT}"
# The hub no longer runs loading scripts; the converted copy of such a data set still loads. That is
# a branch: which commit was read stands in a run's config.json.
BOOKCORPUS = "bookcorpus/bookcorpus@refs/convert/parquet"


def pretrain_tiny_shallow() -> PretrainConfig:
    """Two layers, 128 wide, on the Python documentation: the model that `tiny` starts from.

        python -m train.pretrain tiny-shallow

    Two CPU cores, about ten minutes. 2,048 tokens an update (32 sequences of 64), 4,000 updates.
    For the first 1,700 the loss stays just below the unigram level; then attention has learned to
    find neighbours, and the loss falls. Twelve layers from random weights had not reached this
    point after 2,500 updates, each of which takes several times as long.
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
    ten more layers, which change nothing at first.

        python -m train.pretrain tiny

    Two CPU cores, about 0.35 s an update. Held-out numbers: docs/results/tiny-pair.md.
    2,048 tokens an update (32 sequences of 64), 2,500 updates.
    """
    return replace(
        pretrain_tiny_shallow(),
        output=Path("runs/pretrain-tiny"),
        model=models.tiny_bert(),
        start="runs/pretrain-tiny-shallow/model",
        optimizer=OptimizerConfig(learning_rate=1e-3, weight_decay=0.01, clip_norm=1.0),
        sinusoidal_start=False,
        steps=2500,
    )


def pretrain_tiny_further() -> PretrainConfig:
    """The shipped teacher: the model of `tiny`, trained further; half an hour.

    The last of three steps; reproduces assets/bert-tiny-pydocs.

        python -m train.pretrain tiny-further

    Two CPU cores, about 0.35 s an update. Held-out numbers: docs/results/tiny-pair.md.
    2,048 tokens an update (32 sequences of 64), 3,000 updates.
    """
    return replace(
        pretrain_tiny(),
        output=Path("runs/pretrain-tiny-further"),
        start="runs/pretrain-tiny/model",
        steps=3000,
    )


def pretrain_bert_base_uncased() -> PretrainConfig:
    """BERT-base as in Devlin et al. 2019, but without next sentence and with dynamic masks.

    256 sequences of 512 tokens (131,072 tokens an update), 1,000,000 updates, learning rate 1e-4
    after 10,000, weight decay 0.01. The paper: 4 days on 16 TPU chips. Not run here.

        python -m train.pretrain bert-base-uncased
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
        first_hour=of_bert_base(),
        batch_size=256,
        steps=1_000_000,
        evaluate_every=10_000,
        run=RunConfig(checkpoint_every=5000),
    )


def pretrain_further() -> FurtherConfig:
    """A model of any shape, trained further on text of a domain (Gururangan et al. 2020).

        python -m train.pretrain further --start MODEL --data.corpus papers/
        python -m train.pretrain further --start MODEL --data.corpus papers/ --other-heldout pydocs

    Shape, positions and tokenizer are those of MODEL. The first evaluation is before the first
    update, so the report says what the domain's text was worth; --other-heldout says what it cost
    elsewhere. 256 sequences of 128 tokens an update, 3 epochs; the learning rate rises to 5e-5 over
    6 % of them and falls to 0; weight decay 0.01. A small model needs a larger rate: see
    docs/results/domain.md, 300 updates of the shipped teacher.
    """
    return FurtherConfig(
        output=Path("runs/pretrain-further"),
        start="distilbert/distilbert-base-uncased",
        data=DataConfig(),
        optimizer=OptimizerConfig(
            learning_rate=5e-5, warmup_share=0.06, beta2=0.999, weight_decay=0.01, clip_norm=1.0
        ),
        batch_size=256,
    )
