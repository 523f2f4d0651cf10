"""The training step of a recipe and the shapes of its inputs: no text, no weights, no network.

The functions of the loops make it, so it is the step that will run.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Sharding

from model.blocks.platform import made_for
from model.config import HUB_CONFIGS, EncoderConfig
from model.decoder.causal_lm import CausalLM
from model.errors import InputError
from model.hf.checkpoint import open_checkpoint
from model.student import choose_layers, student_config
from model.tasks import MaskedLM
from tasks.catalogue import TASKS
from tasks.task import Task
from tasks.writing.kind import Writing
from train.causal import (
    causal_objective,
    initial_decoder,
    initial_shallow_decoder,
    shallow_objective,
)
from train.config import (
    CausalConfig,
    CausalDistillConfig,
    DistillConfig,
    FinetuneConfig,
    FurtherConfig,
    PretrainConfig,
    TextConfig,
    TrainConfig,
)
from train.distill import frozen, initial_student, objective_of
from train.loop.learner import compute_dtype
from train.objectives.distillation import MaskedLMObjective
from train.objectives.finetuning import TaskObjective
from train.objectives.objective import Objective, Params
from train.objectives.stored import stored_columns
from train.objectives.writing import WritingObjective
from train.pretrain import initial_masked_lm
from train.start import random_shape
from train.update.keys import keys_of
from train.update.optimizer import Optimizer, make_optimizer
from train.update.parallel import Parallel
from train.update.step import Step, TrainState, init_state, make_step, split

Shapes = dict[str, jax.ShapeDtypeStruct]
ANY_ID = 0  # which piece is [MASK] or [SEP] makes no difference to the program


@dataclass(frozen=True)
class AbstractStep:
    """A step, and the shapes of its arguments but for the batch, which `batch_shapes` gives."""

    config: TrainConfig
    objective: Objective
    optimizer: Optimizer
    steps: int
    """Updates of the run."""
    state: TrainState
    constants: dict[str, Any]
    keys: Any

    def make(self, axis: str | None) -> Step:
        """The step for a pmap axis of this name, as `Parallel.compile` takes it."""
        return make_step(self.objective, self.optimizer, self.steps, axis)

    @property
    def group_rows(self) -> int:
        """The number of rows that are masked together: all batches are multiples of it."""
        return self.config.group_rows

    def arguments(self, rows: int, micro_batches: int = 1) -> tuple[Any, ...]:
        """The arguments of the step, for micro-batches of so many rows on all devices."""
        batch = batch_shapes(self.config, micro_batches, rows)
        return self.state, self.constants, batch, self.keys

    def lower(self, parallel: Parallel, rows: int, micro_batches: int) -> jax.stages.Lowered:
        """The step for these devices, each of which reads its share of `rows`."""
        state, constants, batch, keys = self.arguments(rows, micro_batches)
        whole = placed((state, constants, keys), parallel.replicated)
        shared = placed(batch, parallel.by_micro_rows)
        step: Any = parallel.compile(self.make)
        with made_for(parallel.mesh.devices.flat[0].platform):
            return step.lower(whole[0], whole[1], shared, whole[2])


def abstract_step(config: TrainConfig, steps: int) -> AbstractStep:
    """The step that a configuration of any loop asks for, in a run of `steps` updates.

    Raises:
        InputError: a model's shape is not known without its files, or parts do not fit.
    """
    if config.dtype == "auto":
        config = replace(config, dtype="bfloat16")  # as compute_dtype on a TPU
    model, objective, constants, kept = _parts(config)
    _, params = split(model)
    optimizer = make_optimizer(config.optimizer, steps, frozen=kept)

    def state(params: Params) -> TrainState:
        return init_state(params, optimizer)

    return AbstractStep(
        config,
        objective,
        optimizer,
        steps,
        jax.eval_shape(state, params),
        constants,
        jax.eval_shape(lambda: keys_of(config.seed)),
    )


def _parts(
    config: TrainConfig,
) -> tuple[nnx.Module, Objective, dict[str, Any], tuple[str, ...]]:
    """The model that is trained, its objective, the constants, and the frozen parameters."""
    if isinstance(config, PretrainConfig | FurtherConfig):
        # From a checkpoint or from random weights: the shapes are the same.
        model = nnx.eval_shape(lambda: _masked_lm(config))
        objective = MaskedLMObjective(nnx.graphdef(model), config.masking, ANY_ID)
        return model, objective, _text_constants(model.config, {}), ()
    if isinstance(config, CausalConfig):
        model = nnx.eval_shape(lambda: initial_decoder(config))
        return model, causal_objective(model, ANY_ID), {"teacher": {}}, ()
    if isinstance(config, CausalDistillConfig):
        shape = shape_of(config.teacher).replace(dtype=compute_dtype(config))

        def decoders() -> tuple[CausalLM, CausalLM]:
            teacher = CausalLM(shape, rngs=nnx.Rngs(0))
            return teacher, initial_shallow_decoder(teacher, config)

        teacher, trained = nnx.eval_shape(decoders)
        objective = shallow_objective(config, trained, teacher, ANY_ID)
        return trained, objective, {"teacher": split(teacher)[1]}, ()
    if isinstance(config, DistillConfig):
        shape = shape_of(config.teacher).replace(dtype=compute_dtype(config))

        def models() -> tuple[MaskedLM, nnx.Module]:
            teacher = MaskedLM(shape, rngs=nnx.Rngs(0))
            return teacher, initial_student(teacher, config)

        teacher, trained = nnx.eval_shape(models)
        objective = objective_of(config, trained, teacher, ANY_ID)
        constants = _text_constants(shape, split(teacher)[1])
        if config.answers == "untrained":
            constants["untrained"] = constants["teacher"]
        return trained, objective, constants, frozen(config)
    assert isinstance(config, FinetuneConfig)
    task = task_of(config)
    shape = shape_of(config.model)
    if config.layers is not None:
        shape = student_config(shape, config.layers)
    shape = shape.replace(labels=outputs_of(config), dtype=compute_dtype(config))
    depth = decoder_depth(config.model)
    if config.decoder_layers is not None:
        layers = choose_layers(config.decoder_layers, depth or shape.num_layers, None)
        depth = len(layers)
    kind = task.kind.of_decoder(config.decoder_layers, depth)
    model = nnx.eval_shape(lambda: kind.new_model(shape, rngs=nnx.Rngs(0)))
    model.backbone.encoder.remat = config.run.remat
    structure = nnx.graphdef(model)
    if not isinstance(kind, Writing):
        objective = TaskObjective(structure, kind, config.loss if config.teacher else None)
        return model, objective, {}, config.frozen
    if not config.teacher or kind.form == "texts":  # which are written before
        return model, WritingObjective(structure, kind), {"teacher": {}}, config.frozen
    theirs = shape_of(config.teacher).replace(dtype=compute_dtype(config))
    wise = kind.of_decoder(None, decoder_depth(config.teacher))
    teacher = nnx.eval_shape(lambda: wise.new_model(theirs, rngs=nnx.Rngs(0)))
    objective = WritingObjective(structure, kind, nnx.graphdef(teacher), config.loss)
    return model, objective, {"teacher": split(teacher)[1]}, config.frozen


def _masked_lm(config: PretrainConfig | FurtherConfig) -> MaskedLM:
    if isinstance(config, PretrainConfig):
        return initial_masked_lm(config)
    model = MaskedLM(shape_of(config.start).replace(dtype=compute_dtype(config)), rngs=nnx.Rngs(0))
    model.backbone.encoder.remat = config.run.remat
    return model


def shape_of(model: str) -> EncoderConfig:
    """The shape of a model, from its `config.json` or from its name.

    Raises:
        InputError: there is neither.
    """
    if (random := random_shape(model)) is not None:
        return random[0]
    if Path(model).expanduser().exists():
        return open_checkpoint(model).config
    if model in HUB_CONFIGS:
        return HUB_CONFIGS[model]
    raise InputError(
        f"the shape of {model} is not known here: name a folder with its config.json, or one of "
        f"{', '.join(HUB_CONFIGS)}"
    )


def decoder_depth(model: str) -> int | None:
    """Layers of the decoder that a model has, or that its name asks for; None: it has none."""
    if (random := random_shape(model)) is not None:
        return random[1]
    if not Path(model).expanduser().exists():
        return None
    decoder = open_checkpoint(model).decoder
    return None if decoder is None else decoder.num_layers


def task_of(config: FinetuneConfig) -> Task:
    """The task, with the labels that are known without its examples."""
    task = TASKS[config.task]
    task = task.with_labels(config.labels or config.data.label_fields or task.labels)
    if config.loss.form is not None:
        task = replace(task, kind=task.kind.of_form(config.loss.form))
    return task.of_reading(config.reading)


def outputs_of(config: FinetuneConfig) -> tuple[str, ...]:
    """The model's outputs; where the examples would name them, it has as many as now."""
    return task_of(config).outputs or shape_of(config.model).labels


def sequence_length(config: TrainConfig) -> int:
    """Tokens of the longest sequences that the step reads, in all texts of a sequence."""
    return math.prod(batch_shapes(config, 1, 1)["input_ids"].shape)


def batch_shapes(config: TrainConfig, micro_batches: int, rows: int) -> Shapes:
    """The shapes of what the batches of the loops hold, [micro, rows, ...]."""
    if isinstance(config, TextConfig):
        length = config.data.sequence_length
    else:
        assert isinstance(config, FinetuneConfig)
        task, positions = TASKS[config.task], shape_of(config.model).max_positions
        length = task.length(task.fit(config.reading, positions))

    def array(dtype: Any, *inner: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((micro_batches, rows, *inner), dtype)

    batch = {"input_ids": array(jnp.int32, length), "row": array(jnp.int32)}
    if not isinstance(config, TextConfig) or config.data.has_padding:
        batch["attention_mask"] = array(jnp.bool_, length)
    elif config.data.shares_sequences:
        batch["segments"] = array(jnp.int32, length)
    if isinstance(config, DistillConfig) and config.teacher_cache is not None:
        columns = stored_columns(shape_of(config.teacher), config.cache.dtype)
        batch |= {n: array(c.dtype, length, *c.shape) for n, c in columns.items()}
    if isinstance(config, FinetuneConfig):
        batch["token_type_ids"] = array(jnp.int32, length)
        batch["valid"] = array(jnp.bool_)
        kind, outputs = task_of(config).kind, len(outputs_of(config))
        columns = kind.targets(length, outputs)
        if config.teacher and not kind.writes:
            fetched = kind.fetched(length, outputs, shape_of(config.teacher).hidden_size)
            columns |= {f"teacher_{name}": column for name, column in fetched.items()}
        batch |= {name: array(column.dtype, *column.shape) for name, column in columns.items()}
    return batch


def _text_constants(shape: EncoderConfig, teacher: Params) -> dict[str, Any]:
    weights = jax.ShapeDtypeStruct((shape.vocab_size,), jnp.float32)
    return {"log_weights": weights, "teacher": teacher}


def placed(tree: Any, sharding: Sharding) -> Any:
    """The shapes of a tree, with the sharding of their arrays."""
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding), tree)
