"""The learner of a loop: a state, its compiled update, and the export of the result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np
from flax import nnx

from data.tokenizer import save_vocabulary
from data.vocabulary import Vocabulary
from model.config import DType, EncoderConfig
from model.pretrained import save
from train.config import TrainConfig
from train.objectives.objective import Objective
from train.update.optimizer import make_optimizer
from train.update.parallel import Parallel
from train.update.step import Observation, Step, TrainState, init_state, make_step, split
from train.update.term_gradients import make_term_gradients


@dataclass(frozen=True)
class Learner:
    """One model to train, or a stack of them."""

    state: TrainState
    """Before training."""
    step: Step
    """Its update, compiled."""
    export: Callable[[Any, Path], None]
    """Writes the trained parameters, already on this host, into a folder as a model."""
    term_gradients: Observation | None = None
    """Measures the gradients of the terms of the loss in some updates; compiled."""

    @property
    def parameters(self) -> int:
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.params))

    def check_export(self) -> None:
        """Exports the model before training, with empty arrays, into a folder that is not kept.

        What the export refuses costs no training then.

        Raises:
            InputError: the format does not hold such a model, or a name is no name of a file.
        """
        empty = jax.tree.map(
            lambda leaf: np.zeros((*leaf.shape[:-1], 0), leaf.dtype), self.state.params
        )
        with TemporaryDirectory() as folder:
            self.export(empty, Path(folder) / "model")


def one_model(
    config: TrainConfig,
    model: nnx.Module,
    vocabulary: Vocabulary,
    objective: Objective,
    parallel: Parallel,
    steps: int,
    *,
    frozen: tuple[str, ...] = (),
    layer_decay: float = 1.0,
    decoder_rate: float = 1.0,
    exported: Callable[[nnx.Module], nnx.Module] = lambda model: model,
    term_gradients: bool = False,
) -> Learner:
    """A model, its optimizer and the way it becomes a Hugging Face folder with its tokenizer.

    Args:
        config: of the run.
        model: before training.
        vocabulary: is exported with it.
        objective: what is minimised.
        parallel: where it runs.
        steps: updates of the run.
        frozen: parts of the paths of parameters that stay as they are.
        layer_decay: of the learning rate, from layer to layer downwards.
        decoder_rate: the learning rate of a decoder over that of its encoder.
        exported: the part of the trained model that is written.
        term_gradients: whether the gradients of the terms are measured too.
    """
    graphdef, params = split(model)
    optimizer = make_optimizer(
        config.optimizer,
        steps,
        frozen=frozen,
        layer_decay=layer_decay,
        decoder_rate=decoder_rate,
    )
    measure = None
    if term_gradients:
        measure = parallel.compile_observation(
            lambda axis: make_term_gradients(objective, steps, frozen, axis)
        )
    return Learner(
        init_state(params, optimizer),
        parallel.compile(lambda axis: make_step(objective, optimizer, steps, axis)),
        lambda trained, folder: export(exported(nnx.merge(graphdef, trained)), vocabulary, folder),
        measure,
    )


def export(model: nnx.Module, vocabulary: Vocabulary, folder: Path) -> None:
    """Writes a model with its tokenizer as a Hugging Face folder."""
    save(model, folder)
    config: EncoderConfig = model.config  # type: ignore[attr-defined]
    save_vocabulary(vocabulary, folder, config.max_positions)


def compute_dtype(config: TrainConfig) -> DType:
    """bfloat16 where the hardware multiplies it faster, unless the configuration says otherwise."""
    if config.dtype != "auto":
        return config.dtype
    return "float32" if jax.default_backend() == "cpu" else "bfloat16"
