"""The same pretraining and distillation in torch with Hugging Face's models.

For masked LM their models score the vocabulary at every position, ours where a word was masked.
"""

import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from transformers import BertForMaskedLM, DistilBertForMaskedLM

from data.clock import seconds_since
from eval.timing.device import Device
from eval.timing.torch_training import TorchTraining
from train.objectives.schedule import ends
from train.objectives.terms import DistillationLoss
from train.update.optimizer import OptimizerConfig


class MaskedTensors(NamedTuple):
    """A masked batch without padding; positions are indices into its rows x length tokens."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    predicted: torch.Tensor
    labels: torch.Tensor


def as_tensors(masked: Mapping[str, Any], device: str = "cpu") -> MaskedTensors:
    """A masked micro-batch, of arrays [1, ...]."""
    arrays = {name: np.asarray(array)[0] for name, array in masked.items()}
    ids, valid = arrays["input_ids"], arrays["valid"]
    groups = len(valid)
    first = np.arange(groups)[:, None] * (ids.size // groups)

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.long, device=device)

    return MaskedTensors(
        tensor(ids),
        tensor(arrays["attention_mask"]).bool(),
        tensor((arrays["positions"] + first)[valid]),
        tensor(arrays["labels"][valid]),
    )


class TorchStep(TorchTraining):
    """Called again and again it trains a student or, without a loss of distillation, a BERT.

    Args:
        folder: holds `trained` and, to distil, `teacher` as transformers reads them.
        loss: the weights of the triple loss and the temperature, all constant; None for masked LM.
        optimizer: see `TorchTraining`.
        autocast: likewise.
        on: likewise.
    """

    def __init__(
        self,
        folder: Path,
        loss: DistillationLoss | None,
        optimizer: OptimizerConfig,
        *,
        autocast: bool,
        on: Device = "cpu",
    ):
        super().__init__(optimizer, autocast=autocast, on=on)
        self.loss = loss
        if loss is not None:
            self.teacher = self.load(BertForMaskedLM, folder / "teacher").eval()
        architecture = BertForMaskedLM if loss is None else DistilBertForMaskedLM
        model = self.load(architecture, folder / "trained")
        self.learn(model, model.parameters())

    def __call__(self, batch: MaskedTensors) -> float:
        """Makes one update; returns the loss before it."""
        if self.loss is None:
            return self.update(self._masked_lm, batch)
        return self.update(self._triple, batch, self.loss)

    def _masked_lm(self, batch: MaskedTensors) -> torch.Tensor:
        labels = torch.full_like(batch.input_ids, -100)
        labels.view(-1)[batch.predicted] = batch.labels
        return self.model(batch.input_ids, batch.attention_mask, labels=labels).loss

    def _triple(self, batch: MaskedTensors, loss: DistillationLoss) -> torch.Tensor:
        """As the original code computes it (`distiller.py`)."""
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        with torch.no_grad():
            teacher = self.teacher(**inputs, output_hidden_states=True)
        student = self.model(**inputs, output_hidden_states=True)
        logits = student.logits.flatten(0, 1)

        ce, mlm, cos = (ends(term.weight)[0] for term in (loss.ce, loss.mlm, loss.cos))
        temperature = ends(loss.ce.temperature)[0]
        kl = F.kl_div(
            F.log_softmax(logits / temperature, dim=-1),
            F.softmax(teacher.logits.flatten(0, 1) / temperature, dim=-1),
            reduction="batchmean",
        )
        masked_lm = F.cross_entropy(logits[batch.predicted], batch.labels)
        hidden, target = (m.hidden_states[-1].flatten(0, 1) for m in (student, teacher))
        cosine = F.cosine_embedding_loss(hidden, target, hidden.new_ones(len(hidden)))
        return ce * temperature**2 * kl + mlm * masked_lm + cos * cosine


class TorchUpdates:
    """A step on masked batches from files, one at a time."""

    def __init__(self, step: TorchStep, files: list[Path]):
        self._step = step
        self._batches = itertools.cycle([as_tensors(np.load(f), step.device) for f in files])

    def update(self) -> float:
        batch = next(self._batches)
        start = time.perf_counter()
        self._step(batch)
        self._step.wait()
        return seconds_since(start)

    def facts(self) -> dict[str, Any]:
        return {"peak_memory_bytes": self._step.peak_memory()}
