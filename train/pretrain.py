"""Pretraining: a BERT, or a DistilBERT without a teacher, learns from text alone.

    python -m train.pretrain tiny-shallow
    python -m train.pretrain bert-base-uncased --batch-size 256 --run.parallel pmap
    python -m train.pretrain further --start MODEL --data.corpus papers/
    python -m train.pretrain causal --data.corpus my-texts/

A recipe is a named configuration, and flags change what it sets. The run's folder (--output) holds
the model in Hugging Face's format, the metrics and a report. The same command resumes a run that
was stopped.
"""

import sys

from flax import nnx

from data.open import open_data
from data.tokenizer import load_vocabulary
from model.errors import InputError
from model.growing import grow
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.pretrained import load
from model.student import sinusoids
from model.tasks import MaskedLM
from model.terminal import say
from train.causal import train_causal
from train.command.cli import choose, main
from train.command.processes import first_before_others
from train.config import CausalConfig, FurtherConfig, PretrainConfig
from train.further import train_further
from train.loop.fit_text import fit_text
from train.loop.folder import alone_in_output
from train.loop.learner import compute_dtype
from train.objectives.distillation import MaskedLMObjective
from train.recipes import PRETRAIN
from train.update.keys import stream_key


def pretrain(config: PretrainConfig | FurtherConfig | CausalConfig) -> dict[str, float]:
    """Trains as the configuration says; returns the held-out metrics.

    Raises:
        InputError: a setting is out of range, or the model does not fit the data.
    """
    if isinstance(config, FurtherConfig):
        return train_further(config)
    if isinstance(config, CausalConfig):
        return train_causal(config)
    return pretrain_shape(config)


@alone_in_output
def pretrain_shape(config: PretrainConfig) -> dict[str, float]:
    """Trains a model of the shape that the configuration gives; returns the held-out metrics.

    Raises:
        InputError: a setting is out of range, or the model does not fit the data.
    """
    config.check()
    if config.data.sequence_length > config.model.max_positions:
        raise InputError(
            f"--data.sequence-length {config.data.sequence_length} is above the model's "
            f"{config.model.max_positions} positions (--model.max-positions)"
        )
    with first_before_others():
        data = open_data(config.data)
    start = open_checkpoint(config.start) if config.start else None
    vocab_size = start.config.vocab_size if start else data.vocabulary.size
    if vocab_size != config.model.vocab_size:
        raise InputError(
            f"{config.start or 'the tokenizer'} has {vocab_size} pieces and the model "
            f"{config.model.vocab_size}: set --model.vocab-size {vocab_size}"
        )
    if start:
        data.vocabulary.check_teacher(load_vocabulary(start.place))
        say(*data.vocabulary.check_rows(vocab_size, start.name))
    model = initial_masked_lm(config, start)
    mask_id = data.vocabulary.special.mask
    objective = MaskedLMObjective(nnx.graphdef(model), config.masking, mask_id)
    return fit_text(config, kind="pretrain", data=data, model=model, objective=objective)


def initial_masked_lm(config: PretrainConfig, start: Checkpoint | None = None) -> MaskedLM:
    """The model before training, grown from `start` if there is one."""
    shape = config.model.replace(dtype=compute_dtype(config))
    model = MaskedLM(shape, rngs=nnx.Rngs(params=stream_key(config.seed, "init")))
    model.backbone.encoder.remat = config.run.remat
    if config.sinusoidal_start:
        positions = model.backbone.embeddings.position.embedding
        # Scaled to the size of the word vectors: the mean square of a sinusoid is 1/2.
        positions[...] = sinusoids(*positions.shape) * (2**0.5 * shape.initializer_range)
    if start:
        grow(load(start, MaskedLM), model)
    return model


if __name__ == "__main__":
    main(
        lambda: pretrain(choose(PRETRAIN, "train.pretrain", sys.argv[1:], about=__doc__)),
        hosts=True,
    )
