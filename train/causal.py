"""Decoders that learn from running text, alone or from a deeper decoder.

It is what `python -m train.pretrain causal` and `python -m train.distill causal` run. The model is
transformers' BertLMHeadModel, and its folder says how it generates.
"""

from dataclasses import asdict, replace

from flax import nnx

from data.open import Data, open_data
from data.tokenizer import load_vocabulary
from model.decoder.causal_lm import CausalLM
from model.decoder.start import decoder_from
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.pretrained import load
from model.terminal import say
from train.command.processes import first_before_others
from train.config import CausalConfig, CausalDistillConfig, TextConfig
from train.loop.fit_text import fit_text
from train.loop.folder import alone_in_output
from train.loop.heldout_next import HeldOutNext
from train.loop.learner import compute_dtype
from train.objectives.next_token import NextTokenObjective
from train.objectives.terms import NextToken
from train.update.keys import stream_key


@alone_in_output
def train_causal(config: CausalConfig) -> dict[str, float]:
    """Trains a decoder from random weights; returns the held-out metrics.

    Raises:
        InputError: a setting is out of range, or the model does not fit the data.
    """
    config.check()
    config.data.check_length(config.model.max_positions, "the model (--model.max-positions)")
    with first_before_others():
        data = open_data(config.data)
    if data.vocabulary.size != config.model.vocab_size:
        raise InputError(
            f"the tokenizer has {data.vocabulary.size} pieces and the model "
            f"{config.model.vocab_size}: set --model.vocab-size {data.vocabulary.size}"
        )
    model = initial_decoder(config)
    objective = causal_objective(model, data.vocabulary.special.sep)
    return _fit(config, "pretrain", data, model, objective)


@alone_in_output
def distill_causal(config: CausalDistillConfig) -> dict[str, float]:
    """Trains a decoder with some of its teacher's layers; returns the held-out metrics.

    Raises:
        InputError: teacher, student and data do not fit, or all weights of the loss are 0.
    """
    config.check()
    if not config.loss.terms():
        raise InputError("--loss.ce.weight and --loss.next-token.weight are 0: give one a weight")
    with first_before_others():
        checkpoint = open_checkpoint(config.teacher)
        teacher = load(checkpoint, CausalLM, dtype=compute_dtype(config))
    config.data.check_length(teacher.config.max_positions, config.teacher)
    with first_before_others():
        data = open_data(replace(config.data, tokenizer=config.data.tokenizer or checkpoint.place))
    if config.data.tokenizer:
        data.vocabulary.check_teacher(load_vocabulary(checkpoint.place))
    say(*data.vocabulary.check_rows(teacher.config.vocab_size, config.teacher))
    model = initial_shallow_decoder(teacher, config)
    objective = shallow_objective(config, model, teacher, data.vocabulary.special.sep)
    return _fit(config, "distill", data, model, objective, teacher)


def initial_decoder(config: CausalConfig) -> CausalLM:
    """The decoder before training."""
    shape = config.model.replace(dtype=compute_dtype(config))
    model = CausalLM(shape, rngs=nnx.Rngs(params=stream_key(config.seed, "init")))
    model.backbone.encoder.remat = config.run.remat
    return model


def causal_objective(model: CausalLM, sep_id: int) -> NextTokenObjective:
    """The objective of a decoder that learns from text alone."""
    return NextTokenObjective(nnx.graphdef(model), sep_id, {"next_token": NextToken(weight=1.0)})


def initial_shallow_decoder(teacher: CausalLM, config: CausalDistillConfig) -> CausalLM:
    """The student before training: its teacher without some of the layers."""
    rngs = nnx.Rngs(params=stream_key(config.seed, "init"))
    student = decoder_from(teacher, crosses=False, **asdict(config.student), rngs=rngs)
    student.backbone.encoder.remat = config.run.remat
    return student


def shallow_objective(
    config: CausalDistillConfig, student: CausalLM, teacher: CausalLM, sep_id: int
) -> NextTokenObjective:
    """The objective of a decoder that learns from another."""
    structures = nnx.graphdef(student), nnx.graphdef(teacher)
    return NextTokenObjective(structures[0], sep_id, config.loss.terms(), structures[1])


def _fit(
    config: TextConfig,
    kind: str,
    data: Data,
    model: CausalLM,
    objective: NextTokenObjective,
    teacher: CausalLM | None = None,
) -> dict[str, float]:
    # Texts as long as those it learns from: later positions are not trained.
    longest = config.data.sequence_length - 1
    model.generation = data.vocabulary.generation(model.config.vocab_size, max_new_tokens=longest)
    return fit_text(
        config,
        kind=kind,
        data=data,
        model=model,
        objective=objective,
        metrics=HeldOutNext,
        teacher=teacher,
        term_gradients=isinstance(config, CausalDistillConfig) and config.term_gradients,
    )
