"""Epochs of fine-tuning on texts as long as SST-2's: length buckets here, padding in torch.

Needs grain, which reads the batches ahead.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Int

from data.clock import seconds_since
from eval.timing import device
from eval.timing.peak import peak_memory
from eval.timing.updates import SPECIAL, TOTAL_STEPS
from eval.timing.worker import Contender
from model.config import EncoderConfig
from model.pretrained import save
from model.tasks import SequenceClassification
from tasks.buckets import BucketBatches, bucket_lengths
from tasks.texts.kind import Classification
from tasks.windows import Windows
from train.objectives.finetuning import TaskObjective
from train.planning.flops import matmul_flops
from train.update.keys import keys_of
from train.update.optimizer import Optimizer, OptimizerConfig, make_optimizer
from train.update.parallel import compiler_options
from train.update.step import Step, init_state, make_step, split

# The lengths of SST-2's 67,349 training texts in pieces of bert-base-uncased, [CLS] and [SEP]
# included: the longest of each share of them. The mean is 13.3.
SST2_LENGTHS = {
    0.0: 3, 0.05: 4, 0.1: 4, 0.15: 5, 0.2: 6, 0.25: 6, 0.3: 7, 0.35: 8, 0.4: 8, 0.45: 9, 0.5: 10,
    0.55: 11, 0.6: 13, 0.65: 14, 0.7: 16, 0.75: 18, 0.8: 20, 0.85: 23, 0.9: 27, 0.95: 33, 0.98: 40,
    0.99: 44, 0.999: 56, 1.0: 66,
}  # fmt: skip
# Devlin et al. 2019, appendix A.3, for so many updates that the learning rate hardly changes.
OPTIMIZER = OptimizerConfig(
    learning_rate=2e-5,
    warmup_share=0.0,
    beta2=0.999,
    epsilon=1e-8,
    weight_decay=0.01,
    clip_norm=1.0,
)


def sst2_like(vocab_size: int, texts: int, longest: int) -> Windows:
    """Texts of random tokens in two classes, as long as those of SST-2."""
    random = np.random.default_rng(0)
    ids = [random.integers(SPECIAL, vocab_size, length) for length in lengths_of(texts, longest)]
    return Windows(
        input_ids=[row.astype(np.int32) for row in ids],
        example=np.arange(texts),
        pad_id=0,
        values={"label": random.integers(0, 2, texts).astype(np.int32)},
    )


def lengths_of(texts: int, longest: int) -> Int[np.ndarray, " texts"]:
    """Evenly spread over SST-2's, in an order of chance."""
    shares = (np.arange(texts) + 0.5) / texts
    lengths = np.interp(shares, [*SST2_LENGTHS], [*SST2_LENGTHS.values()])
    return np.random.default_rng(1).permutation(np.minimum(lengths.round().astype(int), longest))


@dataclass(frozen=True)
class FinetuneCase:
    """An epoch of a DistilBERT on texts as long as SST-2's, measured by `eval.timing.worker`."""

    student: EncoderConfig
    """Its `dtype` is what it computes in."""
    rows: int
    texts: int
    on: device.Device

    loop = "finetune"

    @property
    def windows(self) -> Windows:
        return sst2_like(self.student.vocab_size, self.texts, self.student.max_positions)

    @property
    def tokens(self) -> int:
        """Of an epoch, without padding."""
        return int(self.windows.lengths.sum())

    @cached_property
    def flops(self) -> int:
        """Of the matrix products of an epoch without padding.

        Those of a text are quadratic in its length, so three lengths tell those of all.
        """
        graphdef, params = split(nnx.eval_shape(self.model))
        step, adamw = finetuning_step(graphdef)
        state = jax.eval_shape(partial(init_state, optimizer=adamw), params)
        rows, counted = 2, {}  # of one row `matmul_flops` would take the products for sums
        for length in (4, 8, 12):
            windows = replace(self.windows, input_ids=[np.zeros(length, np.int32)] * rows)
            batch = BucketBatches(windows, [length], batch_size=rows, seed=0).batch(0)
            counted[length] = matmul_flops(step, state, {}, batch, keys_of(0)) / rows
        per_text = np.polynomial.Polynomial.fit([*counted], [*counted.values()], 2)
        return round(per_text(self.windows.lengths).sum())

    def model(self) -> SequenceClassification:
        return SequenceClassification(self.student, rngs=nnx.Rngs(0))

    def ours(self) -> "FlaxEpochs":
        """This repository's epochs."""
        return FlaxEpochs(self)

    def save_for_torch(self, folder: Path) -> None:
        """Writes the model."""
        save(self.model(), folder)

    def torch(self, folder: Path, autocast: bool) -> Contender:
        """Epochs of Hugging Face's model: batches of like lengths, padded to their longest."""
        from eval.timing.torch_finetuning import TorchEpochs, TorchFinetune

        training = TorchFinetune(folder, OPTIMIZER, TOTAL_STEPS, autocast=autocast, on=self.on)
        return TorchEpochs(training, self.windows, self.rows)


def finetuning_step(model: nnx.GraphDef) -> tuple[Step, Optimizer]:
    """The update of `train.finetune` on classes, and its optimizer."""
    adamw = make_optimizer(OPTIMIZER, TOTAL_STEPS)
    return make_step(TaskObjective(model, Classification()), adamw, TOTAL_STEPS), adamw


class FlaxEpochs:
    """The epochs of a case, one at a time; a program for every length of bucket."""

    def __init__(self, case: FinetuneCase):
        self._device = device.prepare_process(case.on)
        windows = case.windows
        self._source = BucketBatches(
            windows, bucket_lengths(windows.extents), batch_size=case.rows, seed=0
        )
        graphdef, params = split(case.model())
        step, adamw = finetuning_step(graphdef)
        options = compiler_options(self._device.platform)
        step = jax.jit(step, donate_argnums=0, compiler_options=options)
        self._state, self._keys = init_state(params, adamw), keys_of(0)
        self._epoch, self._positions, self._steps = 0, 0, {}
        start = time.perf_counter()
        for number in range(self._source.steps_per_epoch):
            batch = self._source.batch(number)
            self._positions += batch["input_ids"].size
            length = batch["input_ids"].shape[-1]
            if length not in self._steps:
                lowered = step.lower(self._state, {}, batch, self._keys)
                self._steps[length] = lowered.compile()
        self._compile_seconds = seconds_since(start)

    def update(self) -> float:
        steps = self._source.steps_per_epoch
        start = time.perf_counter()
        batches = self._source.iterate(self._epoch * steps)
        for _ in range(steps):
            batch = next(batches)
            step = self._steps[batch["input_ids"].shape[-1]]
            self._state, _ = step(self._state, {}, batch, self._keys)
        jax.block_until_ready(self._state)
        self._epoch += 1
        return seconds_since(start)

    def facts(self) -> dict[str, Any]:
        return {
            "compile_seconds": self._compile_seconds,
            "peak_memory_bytes": peak_memory(self._device),
            "shapes": len(self._steps),
            "positions": self._positions,  # of an epoch, padding included
        }
