"""Recipes of decoders, models that predict the next token: of train.pretrain and train.distill."""

from pathlib import Path

from data.config import DataConfig
from model import config as models
from train.config import CausalConfig, CausalDistillConfig, RunConfig
from train.update.optimizer import OptimizerConfig


def pretrain_causal() -> CausalConfig:
    """A BERT that reads from left to right: four layers on the Python documentation; minutes.

        python -m train.pretrain causal
        python -m train.pretrain causal --data.corpus my-texts/

    Each paragraph is a text of its own, from [CLS] to [SEP], and texts share rows. 2,048 tokens an
    update (32 rows of 64), 2,000 updates, on two CPU cores.
    """
    return CausalConfig(
        output=Path("runs/pretrain-causal"),
        model=models.tiny_bert().replace(num_layers=4),
        data=DataConfig(tokenizer="wordpiece:8192", mode="lines", sequence_length=64),
        optimizer=OptimizerConfig(learning_rate=2e-3, weight_decay=0.01, clip_norm=1.0),
        batch_size=32,
        steps=2000,
        evaluate_every=500,
    )


def distill_causal_tiny() -> CausalDistillConfig:
    """The model of `train.pretrain causal` distilled into half its layers; minutes.

        python -m train.distill causal

    It starts with every second layer of its teacher, and all else of it. The loss is T^2 KL to the
    teacher at temperature 2 plus the cross-entropy with the text, at all next tokens. 2,048 tokens
    an update, 1,000 updates, on two CPU cores.
    """
    return CausalDistillConfig(
        output=Path("runs/distill-causal"),
        teacher="runs/pretrain-causal/model",
        data=DataConfig(mode="lines", sequence_length=64),
        optimizer=OptimizerConfig(learning_rate=1e-3, clip_norm=1.0),
        batch_size=32,
        steps=1000,
        evaluate_every=250,
        run=RunConfig(checkpoint_every=250),
    )
