"""How long an update of distillation takes, on random tokens."""

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data.masking import MaskingConfig
from eval.timing import peak_memory, seconds_by_turns
from model.config import EncoderConfig
from model.pretrained import save
from model.tasks import MaskedLM
from train.objectives import DistillationObjective
from train.optimizer import OptimizerConfig, make_optimizer
from train.step import Batch, Keys, init_state, make_step
from train.streams import stream_key
from train.terms import DistillationLoss

SPECIAL = 5  # token ids below are special, as in a vocabulary learned here; the last is [MASK]
LOSS = DistillationLoss()
# So many updates that the learning rate stays what it is.
OURS = "this repository, float32"
OPTIMIZER, TOTAL_STEPS = OptimizerConfig(warmup_share=0.0), 1_000_000


class FlaxStep:
    """The update of `train.distill`, compiled; called again and again it trains the student.

    The student's arrays are consumed. `compile_seconds` is what tracing and compiling took.
    """

    def __init__(
        self,
        student: MaskedLM,
        teacher: MaskedLM,
        batch: Batch,
        loss: DistillationLoss = LOSS,
        optimizer: OptimizerConfig = OPTIMIZER,
    ):
        (graphdef, params), (teacher_graphdef, teacher_params) = (
            nnx.split(model, nnx.Param) for model in (student, teacher)
        )
        self.keys = Keys(stream_key(0, "masking"), stream_key(0, "dropout"))
        vocabulary = jnp.arange(student.config.vocab_size)
        self.constants = {
            "teacher": nnx.to_pure_dict(teacher_params),
            "log_weights": jnp.where(vocabulary < SPECIAL, -jnp.inf, 0.0),
        }
        masking = MaskingConfig(group_rows=math.gcd(8, batch["input_ids"].shape[1]))
        objective = DistillationObjective(
            graphdef, teacher_graphdef, masking, SPECIAL - 1, loss.terms()
        )
        self._prepare = jax.jit(objective.prepare)
        adamw = make_optimizer(optimizer, TOTAL_STEPS)
        self.state = init_state(nnx.to_pure_dict(params), adamw)
        step = jax.jit(make_step(objective, adamw, TOTAL_STEPS), donate_argnums=0)
        start = time.perf_counter()
        self._step = step.lower(self.state, self.constants, batch, self.keys).compile()
        self.compile_seconds = time.perf_counter() - start

    def masked(self, batch: Batch, step: int) -> Batch:
        """The batch as update `step` masks it."""
        key = jax.random.fold_in(self.keys.masking, jnp.int32(step))
        return self._prepare(self.constants, batch, key)

    def __call__(self, batch: Batch) -> float:
        """Makes one update; returns the loss before it."""
        self.state, metrics = jax.block_until_ready(
            self._step(self.state, self.constants, batch, self.keys)
        )
        return float(metrics["loss"])


def random_batch(config: EncoderConfig, rows: int, length: int, seed: int) -> Batch:
    """One micro-batch of random tokens without padding."""
    ids = np.random.default_rng(seed).integers(SPECIAL, config.vocab_size, (1, rows, length))
    return {
        "input_ids": jnp.asarray(ids, jnp.int32),
        "attention_mask": jnp.ones(ids.shape, bool),
        "row": jnp.arange(rows, dtype=jnp.int32)[None],
    }


def measure(
    teacher: EncoderConfig,
    student: EncoderConfig,
    *,
    rows: int,
    length: int,
    repeats: int,
    torch: bool = False,
) -> dict[str, Any]:
    """Times whole updates: the triple loss, its gradient, the clip and AdamW.

    Returns:
        `seconds`: the time of every update, by name, with `torch` also of transformers' in float32
        and under bfloat16 autocast, on the same batches by turns; `compile_seconds` and
        `peak_memory_bytes` (of the process, before any torch) of ours.
    """
    models = [MaskedLM(shape, rngs=nnx.Rngs(n)) for n, shape in enumerate((teacher, student))]
    batches = [random_batch(student, rows, length, seed) for seed in range(repeats + 2)]
    with tempfile.TemporaryDirectory() as folder:
        if torch:
            for name, model in zip(("teacher", "student"), models, strict=True):
                save(model, Path(folder, name))
        ours = FlaxStep(models[1], models[0], batches[0])
        ours(batches[0])
        memory = peak_memory()
        functions: dict[str, Callable[[], object]] = {OURS: in_turn(ours, batches[1:])}
        if torch:
            from eval.speed_torch import TorchStep, as_tensors

            masked = [as_tensors(ours.masked(batch, n)) for n, batch in enumerate(batches)]
            for autocast, name in ((False, "torch, float32"), (True, "torch, bfloat16 autocast")):
                theirs = TorchStep(Path(folder), LOSS, OPTIMIZER, autocast=autocast)
                functions[name] = in_turn(theirs, masked[1:])
        seconds = seconds_by_turns(functions, repeats=repeats)
    return {
        "batch": rows,
        "length": length,
        "seconds": seconds,
        "compile_seconds": ours.compile_seconds,
        "peak_memory_bytes": memory,
    }


def in_turn(step: Callable[[Any], object], batches: list[Any]) -> Callable[[], object]:
    """The step on the next batch at every call."""
    left = iter(batches)
    return lambda: step(next(left))
