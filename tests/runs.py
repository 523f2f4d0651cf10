"""Whole runs, small enough for tests: a few words of text, a model of one narrow layer."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from data.config import DataConfig
from data.masking import MaskingConfig
from data.tokenizer import save_vocabulary
from data.wordpiece import train_wordpiece
from model.config import EncoderConfig
from model.decoder.causal_lm import CausalLM
from model.pretrained import save
from model.tasks import MaskedLM
from train.config import (
    CausalConfig,
    CausalDistillConfig,
    DistillConfig,
    FurtherConfig,
    PretrainConfig,
    RunConfig,
)
from train.studies.config import StudyConfig, Variant
from train.update.optimizer import OptimizerConfig

WORDS = [
    *("the", "a", "red", "green", "small", "old", "cat", "dog", "bird", "tree"),
    *("sees", "likes", "hears", "finds", "and", "or", "not", "of", "in", "on"),
]
VOCAB = 80
MODEL = EncoderConfig(
    vocab_size=VOCAB,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=16,
    max_positions=16,
    initializer_range=0.2,
)
TIMINGS = ("seconds", "tokens_per_second", "data_seconds", "compiles")


def write_corpus(folder: Path, files: int = 25, lines: int = 8) -> Path:
    """A folder of small texts, always the same."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(files):
        text = [" ".join(rng.choice(WORDS, size=12)) for _ in range(lines)]
        (folder / f"{number}.txt").write_text("\n".join(text) + "\n")
    return folder


def write_teacher(
    folder: Path,
    config: EncoderConfig = MODEL,
    words: list[str] = WORDS,
    kind: type[MaskedLM] | type[CausalLM] = MaskedLM,
) -> Path:
    """A BERT with random weights and a tokenizer that knows the corpus."""
    vocabulary = train_wordpiece([" ".join(words)] * 3, VOCAB)
    config = config.replace(vocab_size=vocabulary.size)
    save(kind(config, rngs=nnx.Rngs(0)), folder)
    save_vocabulary(vocabulary, folder)
    return folder


def pretrain_config(home: Path, **changes: Any) -> PretrainConfig:
    """Twelve updates; `home` holds corpus, teacher and cache, and the run in `home`/run."""
    config = PretrainConfig(
        output=home / "run",
        model=MODEL,
        data=data_config(home),
        masking=MaskingConfig(group_rows=2),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        batch_size=8,
        steps=12,
        evaluate_every=5,
        run=RunConfig(checkpoint_every=3, devices=1),
    )
    return replace(config, **changes)


def further_config(home: Path, **changes: Any) -> FurtherConfig:
    config = FurtherConfig(
        output=home / "run",
        start=str(home / "teacher"),
        data=replace(data_config(home), tokenizer=None),
        masking=MaskingConfig(group_rows=2),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        batch_size=8,
        steps=6,
        run=RunConfig(checkpoint_every=3, devices=1),
    )
    return replace(config, **changes)


def distill_config(home: Path, **changes: Any) -> DistillConfig:
    config = DistillConfig(
        output=home / "run",
        teacher=str(home / "teacher"),
        data=data_config(home),
        masking=MaskingConfig(group_rows=2),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        batch_size=8,
        steps=12,
        evaluate_every=5,
        run=RunConfig(checkpoint_every=3, devices=1),
    )
    return replace(config, **changes)


def causal_config(home: Path, **changes: Any) -> CausalConfig:
    config = CausalConfig(
        output=home / "run",
        model=MODEL,
        data=replace(data_config(home), mode="lines"),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        batch_size=8,
        steps=12,
        evaluate_every=5,
        run=RunConfig(checkpoint_every=3, devices=1),
    )
    return replace(config, **changes)


def causal_distill_config(home: Path, **changes: Any) -> CausalDistillConfig:
    config = CausalDistillConfig(
        output=home / "run",
        teacher=str(home / "decoder"),
        data=replace(data_config(home), mode="lines", tokenizer=None),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        batch_size=8,
        steps=12,
        evaluate_every=5,
        run=RunConfig(checkpoint_every=3, devices=1),
    )
    return replace(config, **changes)


def study_config(home: Path, settings: Mapping[str, Mapping], **changes: Any) -> StudyConfig:
    """A study of one seed, with the settings of every variant by its name.

    `changes` are of the study or of its base.
    """
    own = {name: changes.pop(name) for name in list(changes) if hasattr(StudyConfig, name)}
    study = StudyConfig(
        name="study",
        title="A study",
        base=distill_config(home, **changes),
        variants=tuple(Variant(name, own) for name, own in settings.items()),
        seeds=1,
    )
    return replace(study, **own)


def data_config(home: Path) -> DataConfig:
    return DataConfig(
        tokenizer=str(home / "teacher"),
        corpus=(str(home / "corpus"),),
        heldout_share=0.2,
        sequence_length=16,
        cache=home / "cache",
    )


def make_home(folder: Path) -> Path:
    write_corpus(folder / "corpus")
    write_teacher(folder / "teacher")
    return folder


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def metrics(run: Path) -> list[dict[str, Any]]:
    """What was recorded, without times."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]
