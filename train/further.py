"""Further pretraining: a trained model learns masked LM from text of a domain.

It is what `python -m train.pretrain further` runs. Unlike a run from random weights it takes all
that is of the model from the model's own folder, and nothing of it from flags.
"""

from dataclasses import replace

from flax import nnx

from data.open import Data, open_data, open_other_heldout
from data.sequences import Sequences
from data.tokenizer import load_vocabulary
from model.errors import InputError
from model.hf.checkpoint import Checkpoint, open_checkpoint
from model.hf.weight_map import ENCODERS, MODEL_CLASSES
from model.pretrained import load
from model.student import copy_parameters
from model.tasks import MaskedLM
from model.terminal import say
from train.command.processes import first_before_others
from train.config import FurtherConfig
from train.loop.fit_text import fit_text
from train.loop.folder import alone_in_output
from train.loop.learner import compute_dtype
from train.objectives.distillation import MaskedLMObjective
from train.update.keys import stream_key


@alone_in_output
def train_further(config: FurtherConfig) -> dict[str, float]:
    """Trains as the configuration says; returns the held-out metrics.

    Raises:
        InputError: a setting is out of range, or the model does not fit the data or has no head.
    """
    config.check()
    for name in config.other_heldout:
        if name in config.data.corpus:
            raise InputError(
                f"{name} is both --data.corpus and --other-heldout: name text that is not trained "
                "on; of the corpus a part is held out anyway"
            )
    with first_before_others():
        start = open_checkpoint(config.start)
        model = started_masked_lm(config, start)
    config.check_depth(start.config.num_layers)
    config.data.check_length(start.config.max_positions, start.name)
    data, other = _text_for(start, config)
    mask_id = data.vocabulary.special.mask
    objective = MaskedLMObjective(nnx.graphdef(model), config.masking, mask_id)
    return fit_text(
        config,
        kind="pretrain",
        data=data,
        model=model,
        objective=objective,
        frozen=config.frozen,
        other=other,
    )


def started_masked_lm(config: FurtherConfig, start: Checkpoint) -> MaskedLM:
    """The model before training.

    Raises:
        InputError: the checkpoint has no masked-LM head, and none is to be drawn.
    """
    shape = start.config.replace(dtype=compute_dtype(config))
    if config.start_head == "random":
        model = MaskedLM(shape, rngs=nnx.Rngs(params=stream_key(config.seed, "init")))
        encoder = load(start, ENCODERS[shape.architecture])
        for part in ("embeddings", "encoder"):
            copy_parameters(getattr(encoder, part), getattr(model.backbone, part))
    elif not _has_head(start):
        raise InputError(
            f"{start.name} ({' or '.join(start.classes) or 'a bare encoder'}) is without a "
            "masked-LM head: --start-head random draws one, which learns with the rest"
        )
    else:
        model = load(start, MaskedLM, dtype=shape.dtype)
    model.backbone.encoder.remat = config.run.remat
    return model


def _has_head(start: Checkpoint) -> bool:
    known = MODEL_CLASSES[start.config.architecture]
    return any(issubclass(known[name][0], MaskedLM) for name in start.classes if name in known)


def _text_for(start: Checkpoint, config: FurtherConfig) -> tuple[Data, Sequences | None]:
    """The data in the vocabulary of the model, and the other held-out text if there is one."""
    with first_before_others():
        data = open_data(replace(config.data, tokenizer=config.data.tokenizer or start.place))
        if config.data.tokenizer and load_vocabulary(start.place).pieces != data.vocabulary.pieces:
            raise InputError(
                f"--data.tokenizer {config.data.tokenizer} has other pieces than the tokenizer of "
                f"{start.name}, whose embeddings are theirs: leave it out"
            )
        say(*data.vocabulary.check_rows(start.config.vocab_size, start.name))
        if not config.other_heldout:
            return data, None
        return data, open_other_heldout(config.data, config.other_heldout, data.vocabulary)
