"""Whole updates of pretraining and distillation, on random tokens."""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float32

from data.masking import MaskingConfig, mask_tokens
from eval.timing import device, flops
from eval.timing.peak import peak_memory
from eval.timing.worker import Contender
from model.config import EncoderConfig, bert_base, distilbert_base, tiny_bert, tiny_distilbert
from model.pretrained import save
from model.tasks import MaskedLM
from train.command.malloc import keep_freed_memory
from train.objectives.distillation import DistillationObjective, MaskedLMObjective
from train.objectives.objective import DeviceBatch
from train.objectives.terms import DistillationLoss
from train.update.keys import keys_of
from train.update.optimizer import OptimizerConfig, make_optimizer
from train.update.step import init_state, make_step, split

SIZES: dict[str, tuple[Callable[[], EncoderConfig], Callable[[], EncoderConfig]]] = {
    "base": (bert_base, distilbert_base),
    "tiny": (tiny_bert, tiny_distilbert),
}

SPECIAL = 5  # token ids below are special, as in a vocabulary learned here; the last is [MASK]
LOSS = DistillationLoss()
# So many updates that the learning rate stays what it is.
OPTIMIZER, TOTAL_STEPS = OptimizerConfig(warmup_share=0.0), 1_000_000
BATCHES = 4  # different ones, again and again


@dataclass(frozen=True)
class TextCase:
    """An update on so many random tokens, measured as `eval.timing.worker` does it."""

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

    @property
    def flops(self) -> int:
        """Of an update, see `eval.timing.flops`."""
        if self.loop == "pretrain":
            return flops.pretraining(self.teacher, self.rows, self.length)
        return flops.distillation(self.teacher, self.student, self.rows, self.length)

    @property
    def batches(self) -> list[DeviceBatch]:
        return [random_batch(self.teacher, self.rows, self.length, n) for n in range(BATCHES)]

    def models(self) -> tuple[MaskedLM, MaskedLM | None]:
        """What is trained, and its teacher."""
        teacher = MaskedLM(self.teacher, rngs=nnx.Rngs(0))
        if self.loop == "pretrain":
            return teacher, None
        return MaskedLM(self.student, rngs=nnx.Rngs(1)), teacher

    def ours(self) -> "Updates":
        """This repository's updates."""
        return Updates(self)

    def save_for_torch(self, folder: Path) -> None:
        """Writes the models, and the batches with the words masked that `FlaxStep` masks."""
        names = ("trained", "teacher")
        for name, model in zip(names, self.models(), strict=True):
            if model is not None:
                save(model, folder / name)
        vocabulary = self.teacher.vocab_size
        for number, batch in enumerate(self.batches):
            arrays: dict[str, Any] = {**masked(batch, vocabulary, number)}
            np.savez(folder / f"batch-{number}.npz", **arrays)

    def torch(self, folder: Path, autocast: bool) -> Contender:
        """The same by Hugging Face's models in torch, which `save_for_torch` has written."""
        from eval.timing.torch_updates import TorchStep, TorchUpdates

        loss = None if self.loop == "pretrain" else LOSS
        step = TorchStep(folder, loss, OPTIMIZER, autocast=autocast, on=self.on)
        return TorchUpdates(step, sorted(folder.glob("*.npz")))


class Updates:
    """The updates of a case, one at a time."""

    def __init__(self, case: TextCase):
        keep_freed_memory()  # as every command does
        self._device = device.use(case.on)
        jax.config.update("jax_enable_compilation_cache", False)  # what compiling takes is measured
        batches = case.batches
        self._step = FlaxStep(*case.models(), batches[0])
        self._next = in_turn(self._step, batches)

    def update(self) -> float:
        start = time.perf_counter()
        self._next()
        return time.perf_counter() - start

    def facts(self) -> dict[str, Any]:
        return {
            "compile_seconds": self._step.compile_seconds,
            "peak_memory_bytes": peak_memory(self._device),
        }


class FlaxStep:
    """The update of `train.distill` or, without a teacher, of `train.pretrain`, compiled.

    Called again and again it trains. The student's arrays are consumed. `compile_seconds` is what
    tracing and compiling took.
    """

    def __init__(
        self,
        student: MaskedLM,
        teacher: MaskedLM | None,
        batch: DeviceBatch,
        loss: DistillationLoss = LOSS,
        optimizer: OptimizerConfig = OPTIMIZER,
    ):
        graphdef, params = split(student)
        self.keys = keys_of(0)
        self.constants: dict[str, Any] = {"log_weights": log_weights(student.config.vocab_size)}
        masking = masking_of(batch["input_ids"].shape[1])
        if teacher is None:
            objective = MaskedLMObjective(graphdef, masking, SPECIAL - 1)
        else:
            teacher_graphdef, self.constants["teacher"] = split(teacher)
            objective = DistillationObjective(
                graphdef, teacher_graphdef, masking, SPECIAL - 1, loss.terms()
            )
        adamw = make_optimizer(optimizer, TOTAL_STEPS)
        self.state = init_state(params, adamw)
        step = jax.jit(make_step(objective, adamw, TOTAL_STEPS), donate_argnums=0)
        start = time.perf_counter()
        self._step = step.lower(self.state, self.constants, batch, self.keys).compile()
        self.compile_seconds = time.perf_counter() - start

    def __call__(self, batch: DeviceBatch) -> float:
        """Makes one update; returns the loss before it."""
        self.state, metrics = jax.block_until_ready(
            self._step(self.state, self.constants, batch, self.keys)
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


def masked(batch: DeviceBatch, vocab_size: int, step: int) -> DeviceBatch:
    """The batch as update `step` of `FlaxStep` masks it."""
    key = jax.random.fold_in(keys_of(0).masking, jnp.int32(step))

    def mask(ids, attended, row):
        return mask_tokens(
            key,
            ids,
            attended,
            row,
            log_weights(vocab_size),
            config=masking_of(len(row)),
            mask_id=SPECIAL - 1,
        )._asdict()

    arrays = batch["input_ids"], batch["attention_mask"], batch["row"]
    return {"attention_mask": batch["attention_mask"], **jax.vmap(mask)(*arrays)}


def masking_of(rows: int) -> MaskingConfig:
    return MaskingConfig(group_rows=math.gcd(8, rows))


def log_weights(vocab_size: int) -> Float32[Array, " vocab"]:
    """All tokens alike but the special ones."""
    return jnp.where(jnp.arange(vocab_size) < SPECIAL, -jnp.inf, 0.0)


def in_turn(step: Callable[[Any], object], batches: list[Any]) -> Callable[[], object]:
    """The step on the next batch at every call; after the last comes the first."""
    left = itertools.cycle(batches)
    return lambda: step(next(left))
