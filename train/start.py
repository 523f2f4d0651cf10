"""The start of a fine-tuning: a checkpoint, some of its layers, or random weights."""

import re
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from flax import nnx

from data.tokenizer import load_vocabulary
from data.vocabulary import Vocabulary
from data.wordpiece import train_wordpiece
from model.blocks.encoder import Encoder
from model.config import EncoderConfig
from model.decoder.seq2seq import Seq2Seq
from model.decoder.start import shallow_seq2seq
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.pretrained import load
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
    decoder_layers: int | None
    vocabulary: Vocabulary


Start = Checkpoint | RandomStart


def open_start(config: FinetuneConfig, data: TaskData) -> Start:
    """The start that `--model` names; of random weights the training texts give the vocabulary.

    Raises:
        InputError: there is no such checkpoint, or the name of a random start is malformed.
    """
    random = random_shape(config.model)
    if random is None:
        return open_checkpoint(config.model)
    for flag, layers in {
        "--layers": config.layers,
        "--decoder-layers": config.decoder_layers,
    }.items():
        if layers is not None:
            raise InputError(
                f"{flag} {layers}: --model {config.model} has no layers to copy, leave it out"
            )
    shape, depth = random
    texts = chain.from_iterable(map(data.task.kind.texts, data.splits["train"]))
    cased = config.model.endswith(_CASED)
    vocabulary = train_wordpiece(texts, shape.vocab_size, lowercase=not cased)
    if vocabulary.size < shape.vocab_size:
        say(f"{config.model}: the training texts give no more than {vocabulary.size:,} pieces")
    return RandomStart(shape.replace(vocab_size=vocabulary.size), depth, vocabulary)


def vocabulary_of(start: Start) -> Vocabulary:
    """The vocabulary with which the model reads."""
    if isinstance(start, RandomStart):
        return start.vocabulary
    return load_vocabulary(start.place)


def random_shape(name: str) -> tuple[EncoderConfig, int | None] | None:
    """The DistilBERT that `random:LAYERSxWIDTH:PIECES` names; None for the name of a checkpoint.

    With LAYERS as 3+1 there is a decoder, and the second is its number of layers. Heads are 64
    wide. There is no dropout, and weights are N(0, 1 / width), as in the small models that are
    pretrained here: `model.config.tiny_bert` says why.

    Raises:
        InputError: the name begins with "random:" and has another form.
    """
    if not name.startswith(_RANDOM):
        return None
    numbers = re.fullmatch(
        rf"{_RANDOM}([1-9]\d{{0,2}})(?:\+([1-9]\d{{0,2}}))?x([1-9]\d{{0,4}})"
        rf":([1-9]\d{{0,6}})({_CASED})?",
        name,
        re.ASCII,
    )
    if numbers is None:
        raise InputError(
            f"--model {name}: after random: come layers x width and the pieces of a vocabulary, as "
            "in random:3x384:8192, or random:3x384:8192:cased to keep capitals"
        )
    layers, width, pieces = (int(numbers[group]) for group in (1, 3, 4))
    if width > HEAD_SIZE and width % HEAD_SIZE:
        raise InputError(
            f"--model {name}: a width of {width} does not divide into heads of {HEAD_SIZE}: give a "
            f"multiple of {HEAD_SIZE}"
        )
    config = EncoderConfig(
        vocab_size=pieces,
        hidden_size=width,
        num_heads=max(width // HEAD_SIZE, 1),
        intermediate_size=4 * width,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        initializer_range=width**-0.5,
    )
    return config.distilled(layers), int(numbers[2]) if numbers[2] else None


def initial_model(config: FinetuneConfig, start: Start, data: TaskData) -> Any:
    """The model before training; the seed draws what `start` does not have.

    Raises:
        InputError: the start does not fit the task, or has fewer layers than are to be frozen.
    """
    task, rngs = data.task, nnx.Rngs(params=stream_key(config.seed, "init"))
    depth = start.decoder_layers if isinstance(start, RandomStart) else None
    kind = task.kind.of_decoder(config.decoder_layers, depth)
    task = replace(task, kind=kind)
    changes = {"labels": task.outputs, "dtype": compute_dtype(config)}
    if isinstance(start, RandomStart):
        model = kind.new_model(start.config.replace(**changes), rngs=rngs)
    elif start.decoder is not None and (config.layers or config.decoder_layers) and kind.writes:
        model = shallow_seq2seq(
            load(start, Seq2Seq, dtype=compute_dtype(config)),
            decoder_layers=config.decoder_layers or "all",
            encoder_layers=config.layers or "all",
            rngs=rngs,
        )
    elif config.layers is None:
        model = load_for_task(
            start, task, order=config.labels, new_head=rngs, dtype=compute_dtype(config)
        )
    else:
        encoder = load_encoder(start)
        shape = student_config(encoder.config, config.layers).replace(**changes)
        model = kind.new_model(shape, start, rngs=rngs)
        initialise(model.backbone, encoder, config.layers)
    config.check_depth(model.config.num_layers)
    kind.before_training(model, task.length(config.reading))
    for _, module in nnx.iter_modules(model):
        if isinstance(module, Encoder):
            module.remat = config.run.remat
        shape = getattr(module, "config", None)
        if isinstance(shape, EncoderConfig) and config.dropout is not None:
            rates = {"hidden_dropout": config.dropout, "attention_dropout": config.dropout}
            module.config = shape.replace(**rates)  # type: ignore[attr-defined]
    return model
