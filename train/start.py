"""The start of a fine-tuning: a checkpoint, some of its layers, or random weights."""

import re
from dataclasses import dataclass
from typing import Any

from flax import nnx

from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from data.wordpiece import train_wordpiece
from model.config import EncoderConfig
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.student import initialise, student_config
from model.terminal import say
from tasks.model import load_encoder, load_for_task
from tasks.open import TaskData
from train.config import FinetuneConfig
from train.loop.learner import compute_dtype
from train.update.keys import stream_key

HEAD_SIZE = 64
_RANDOM = "random:"
_CASED = ":cased"


@dataclass(frozen=True)
class RandomStart:
    """No weights yet: the shape of a model, and a vocabulary learned from its training texts."""

    config: EncoderConfig
    vocabulary: Vocabulary


Start = Checkpoint | RandomStart


def open_start(config: FinetuneConfig, data: TaskData) -> Start:
    """The start that `--model` names; of random weights the training texts give the vocabulary.

    Raises:
        InputError: there is no such checkpoint, or the name of a random start is malformed.
    """
    shape = random_shape(config.model)
    if shape is None:
        return open_checkpoint(config.model)
    if config.layers is not None:
        raise InputError(
            f"--layers {config.layers}: --model {config.model} has no layers to copy, leave it out"
        )
    texts = (data.task.kind.quote(example) for example in data.splits["train"])
    cased = config.model.endswith(_CASED)
    vocabulary = train_wordpiece(texts, shape.vocab_size, lowercase=not cased)
    if vocabulary.size < shape.vocab_size:
        say(f"{config.model}: the training texts give no more than {vocabulary.size:,} pieces")
    return RandomStart(shape.replace(vocab_size=vocabulary.size), vocabulary)


def vocabulary_of(start: Start) -> Vocabulary:
    """The vocabulary with which the model reads."""
    if isinstance(start, RandomStart):
        return start.vocabulary
    return load_vocabulary(start.place)


def random_shape(name: str) -> EncoderConfig | None:
    """The DistilBERT that `random:LAYERSxWIDTH:PIECES` names; None for the name of a checkpoint.

    Heads are 64 wide. There is no dropout, and weights are N(0, 1 / width), as in the small models
    that are pretrained here: `model.config.tiny_bert` says why.

    Raises:
        InputError: the name begins with "random:" and has another form.
    """
    if not name.startswith(_RANDOM):
        return None
    numbers = re.fullmatch(
        rf"{_RANDOM}([1-9]\d{{0,2}})x([1-9]\d{{0,4}}):([1-9]\d{{0,6}})({_CASED})?", name, re.ASCII
    )
    if numbers is None:
        raise InputError(
            f"--model {name}: after random: come layers x width and the pieces of a vocabulary, as "
            "in random:3x384:8192, or random:3x384:8192:cased to keep capitals"
        )
    layers, width, pieces = map(int, numbers.groups()[:3])
    if width > HEAD_SIZE and width % HEAD_SIZE:
        raise InputError(
            f"--model {name}: a width of {width} does not divide into heads of {HEAD_SIZE}: give a "
            f"multiple of {HEAD_SIZE}"
        )
    return EncoderConfig(
        vocab_size=pieces,
        hidden_size=width,
        num_heads=max(width // HEAD_SIZE, 1),
        intermediate_size=4 * width,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        initializer_range=width**-0.5,
    ).distilled(layers)


def initial_model(config: FinetuneConfig, start: Start, data: TaskData) -> Any:
    """The model before training; the seed draws what `start` does not have.

    Raises:
        InputError: the start does not fit the task, or has fewer layers than are to be frozen.
    """
    task, rngs = data.task, nnx.Rngs(params=stream_key(config.seed, "init"))
    changes = {"labels": task.outputs, "dtype": compute_dtype(config)}
    if isinstance(start, RandomStart):
        model = task.kind.new_model(start.config.replace(**changes), rngs=rngs)
    elif config.layers is None:
        model = load_for_task(
            start, task, order=config.labels, new_head=rngs, dtype=compute_dtype(config)
        )
    else:
        encoder = load_encoder(start)
        shape = student_config(encoder.config, config.layers).replace(**changes)
        model = task.kind.new_model(shape, start, rngs=rngs)
        initialise(model.backbone, encoder, config.layers)
    layers = model.config.num_layers
    if (config.frozen_layers or 0) > layers:
        raise InputError(f"--frozen-layers {config.frozen_layers}: the model has {layers} layers")
    task.kind.before_training(model, task.length(config.reading))
    model.backbone.encoder.remat = config.run.remat
    return model
