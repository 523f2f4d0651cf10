"""Whole updates of pretraining and distillation, on random tokens."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float32

from data.clock import seconds_since
from data.masking import MaskingConfig
from eval.timing import device
from eval.timing.peak import peak_memory
from eval.timing.worker import Contender
from model.blocks.platform import platform
from model.config import EncoderConfig
from model.pretrained import save
from model.tasks import MaskedLM
from train.objectives.distillation import DistillationObjective, MaskedLMObjective
from train.objectives.objective import DeviceBatch
from train.objectives.terms import DistillationLoss
from train.planning.flops import matmul_flops
from train.update.keys import keys_of
from train.update.optimizer import OptimizerConfig, make_optimizer
from train.update.parallel import compiler_options
from train.update.step import init_state, make_step, split

SPECIAL = 5  # token ids below are special, as in a vocabulary learned here; the last is [MASK]
LOSS = DistillationLoss()
# So many updates that the learning rate hardly changes.
OPTIMIZER, TOTAL_STEPS = OptimizerConfig(warmup_share=0.0), 1_000_000
BATCHES = 4  # different ones, repeated


@dataclass(frozen=True)
class TextCase:
    """An update on random tokens, measured by `eval.timing.worker`."""

    loop: Literal["pretrain", "distill"]
    teacher: EncoderConfig
    """A BERT: it is pretrained, or it teaches. Its `dtype` is what it computes in."""
    student: EncoderConfig
    rows: int
    length: int
    on: device.Device

    @property
    def tokens(self) -> int:
        """Of an update."""
        return self.rows * self.length

    @cached_property
    def flops(self) -> int:
        """Of the matrix products of an update."""
        return self._shapes().flops

    def _shapes(self) -> "FlaxStep":
        """The step without the arrays of its models."""
        return FlaxStep(*nnx.eval_shape(self.models), self.batches[0])

    @property
    def batches(self) -> list[DeviceBatch]:
        return [random_batch(self.teacher, self.rows, self.length, n) for n in range(BATCHES)]

    def models(self) -> tuple[MaskedLM, MaskedLM | None]:
        """The trained model, and its teacher."""
        teacher = MaskedLM(self.teacher, rngs=nnx.Rngs(0))
        if self.loop == "pretrain":
            return teacher, None
        return MaskedLM(self.student, rngs=nnx.Rngs(1)), teacher

    def ours(self) -> "FlaxUpdates":
        """This repository's updates."""
        return FlaxUpdates(self)

    def save_for_torch(self, folder: Path) -> None:
        """Writes the models, and the batches as `FlaxStep` masks them."""
        names = ("trained", "teacher")
        for name, model in zip(names, self.models(), strict=True):
            if model is not None:
                save(model, folder / name)
        step = self._shapes()
        for number, batch in enumerate(self.batches):
            arrays: dict[str, Any] = {**step.masked(batch, number)}
            np.savez(folder / f"batch-{number}.npz", **arrays)

    def torch(self, folder: Path, autocast: bool) -> Contender:
        """The same updates of Hugging Face's models, which `save_for_torch` has written."""
        from eval.timing.torch_updates import TorchStep, TorchUpdates

        loss = None if self.loop == "pretrain" else LOSS
        step = TorchStep(folder, loss, OPTIMIZER, autocast=autocast, on=self.on)
        return TorchUpdates(step, sorted(folder.glob("*.npz")))


class FlaxUpdates:
    """The updates of a case, one at a time."""

    def __init__(self, case: TextCase):
        self._device = device.prepare_process(case.on)
        batches = case.batches
        self._step = FlaxStep(*case.models(), batches[0])
        self._step.compile()
        self._next = cycled(self._step, batches)

    def update(self) -> float:
        start = time.perf_counter()
        self._next()
        return seconds_since(start)

    def facts(self) -> dict[str, Any]:
        return {
            "compile_seconds": self._step.compile_seconds,
            "peak_memory_bytes": peak_memory(self._device),
        }


class FlaxStep:
    """The update of `train.distill` or, without a teacher, of `train.pretrain`.

    Called again and again it trains; the first call compiles it, in `compile_seconds`, unless
    `compile` has. The student's arrays are consumed. Models that are only shapes suffice for
    `flops` and `masked`.
    """

    compile_seconds = 0.0

    def __init__(
        self,
        student: MaskedLM,
        teacher: MaskedLM | None,
        batch: DeviceBatch,
        loss: DistillationLoss = LOSS,
        optimizer: OptimizerConfig = OPTIMIZER,
    ):
        graphdef, self._params = split(student)
        constants: dict[str, Any] = {"log_weights": plain_words(student.config.vocab_size)}
        masking = MaskingConfig(group_rows=math.gcd(8, batch["input_ids"].shape[1]))
        if teacher is None:
            self._objective = MaskedLMObjective(graphdef, masking, SPECIAL - 1)
        else:
            teacher_graphdef, constants["teacher"] = split(teacher)
            self._objective = DistillationObjective(
                graphdef, teacher_graphdef, masking, SPECIAL - 1, loss.terms()
            )
        adamw = make_optimizer(optimizer, TOTAL_STEPS)
        self._step = make_step(self._objective, adamw, TOTAL_STEPS)
        self._initial = partial(init_state, optimizer=adamw)
        self._inputs = constants, batch, keys_of(0)

    @property
    def flops(self) -> int:
        """Of the matrix products of an update."""
        return matmul_flops(self._step, jax.eval_shape(self._initial, self._params), *self._inputs)

    def masked(self, batch: DeviceBatch, step: int) -> DeviceBatch:
        """A batch with the tokens masked that update `step` masks."""
        constants, _, keys = self._inputs
        key = jax.random.fold_in(keys.masking, jnp.int32(step))
        return self._objective.prepare(constants, batch, key)

    def compile(self) -> None:
        """Makes the program that a call runs."""
        self._state = self._initial(self._params)
        step = jax.jit(self._step, donate_argnums=0, compiler_options=compiler_options(platform()))
        start = time.perf_counter()
        self._compiled = step.lower(self._state, *self._inputs).compile()
        self.compile_seconds = seconds_since(start)

    def __call__(self, batch: DeviceBatch) -> float:
        """Makes one update; returns the loss before it."""
        constants, _, keys = self._inputs
        if not self.compile_seconds:
            self.compile()
        self._state, metrics = jax.block_until_ready(
            self._compiled(self._state, constants, batch, keys)
        )
        return float(metrics["loss"])


def random_batch(config: EncoderConfig, rows: int, length: int, seed: int) -> DeviceBatch:
    """One micro-batch of random tokens without padding."""
    ids = np.random.default_rng(seed).integers(SPECIAL, config.vocab_size, (1, rows, length))
    return {
        "input_ids": jnp.asarray(ids, jnp.int32),
        "attention_mask": jnp.ones(ids.shape, bool),
        "row": jnp.arange(rows, dtype=jnp.int32)[None],
    }


def plain_words(vocab_size: int) -> Float32[Array, " vocab"]:
    """Log weights of masking: all tokens alike, but the special ones never."""
    return jnp.where(jnp.arange(vocab_size) < SPECIAL, -jnp.inf, 0.0)


def cycled(step: Callable[[Any], object], batches: list[Any]) -> Callable[[], object]:
    """The step on the next batch at every call; the first follows the last."""
    endless = itertools.cycle(batches)
    return lambda: step(next(endless))
