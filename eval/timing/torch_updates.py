"""The same updates in PyTorch with Hugging Face's models, for `eval.speed`.

Eager, with scaled dot-product attention and the fused AdamW: what its users get without tuning. For
masked LM their models score the vocabulary at every position, ours where a word was masked.
Importing this needs the extra `oracle`.
"""

import itertools
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from transformers import BertForMaskedLM, DistilBertForMaskedLM
from transformers.utils.logging import disable_progress_bar

from eval.timing.device import Device
from eval.timing.peak import peak_main_memory
from model.errors import InputError
from train.objectives.schedule import ends
from train.objectives.terms import DistillationLoss
from train.update.optimizer import OptimizerConfig


class Tensors(NamedTuple):
    """A masked batch. Positions are indices into its rows x length tokens, without padding."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    attended: torch.Tensor | None
    """None where all are attended: then nothing need be picked out, and copied."""
    predicted: torch.Tensor
    labels: torch.Tensor


def as_tensors(masked: Mapping[str, Any], device: str = "cpu") -> Tensors:
    """A masked micro-batch, of arrays [1, ...]."""
    arrays = {name: np.asarray(array)[0] for name, array in masked.items()}
    ids, attended, valid = arrays["input_ids"], arrays["attention_mask"], arrays["valid"]
    groups = len(valid)
    first = np.arange(groups)[:, None] * (ids.size // groups)

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, dtype=torch.long, device=device)

    return Tensors(
        tensor(ids),
        tensor(attended).bool(),
        None if attended.all() else tensor(np.flatnonzero(attended)),
        tensor((arrays["positions"] + first)[valid]),
        tensor(arrays["labels"][valid]),
    )


class TorchStep:
    """Called again and again it trains a student or, without a loss of distillation, a BERT.

    Args:
        folder: holds `trained` and, to distil, `teacher` as transformers reads them.
        loss: the weights of the triple loss and the temperature, all constant; None for masked LM.
        optimizer: the settings of AdamW and the clip; the learning rate stays at its peak.
        autocast: matrix products in bfloat16.
        on: where.

    Raises:
        InputError: torch sees no such device.
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
        self.clip_norm, self.autocast, self.loss = optimizer.clip_norm, autocast, loss
        self.device = torch_device(on)
        disable_progress_bar()
        settings = {"dtype": torch.float32, "attn_implementation": "sdpa"}

        def load(architecture: Any, name: str) -> Any:
            return architecture.from_pretrained(folder / name, **settings).to(self.device)

        if loss is None:
            self.trained = load(BertForMaskedLM, "trained").train()
        else:
            self.trained = load(DistilBertForMaskedLM, "trained").train()
            self.teacher = load(BertForMaskedLM, "teacher").eval()
        self.optimizer = adamw(self.trained.parameters(), optimizer)

    def __call__(self, batch: Tensors) -> float:
        """Makes one update; returns the loss before it."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
            loss = self._masked_lm(batch) if self.loss is None else self._triple(batch, self.loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss.item()

    def _masked_lm(self, batch: Tensors) -> torch.Tensor:
        labels = torch.full_like(batch.input_ids, -100)
        labels.view(-1)[batch.predicted] = batch.labels
        return self.trained(batch.input_ids, batch.attention_mask, labels=labels).loss

    def _triple(self, batch: Tensors, loss: DistillationLoss) -> torch.Tensor:
        """As the original code computes it (`distiller.py`)."""
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        with torch.no_grad():
            teacher = self.teacher(**inputs, output_hidden_states=True)
        student = self.trained(**inputs, output_hidden_states=True)

        def attended(values: torch.Tensor) -> torch.Tensor:
            flat = values.flatten(0, 1)
            return flat if batch.attended is None else flat[batch.attended]

        ce, mlm, cos = (ends(term.weight)[0] for term in (loss.ce, loss.mlm, loss.cos))
        temperature = ends(loss.ce.temperature)[0]
        kl = F.kl_div(
            F.log_softmax(attended(student.logits) / temperature, dim=-1),
            F.softmax(attended(teacher.logits) / temperature, dim=-1),
            reduction="batchmean",
        )
        masked_lm = F.cross_entropy(student.logits.flatten(0, 1)[batch.predicted], batch.labels)
        ours, theirs = attended(student.hidden_states[-1]), attended(teacher.hidden_states[-1])
        cosine = F.cosine_embedding_loss(ours, theirs, ours.new_ones(len(ours)))
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
        wait_for(self._step.device)
        return time.perf_counter() - start

    def facts(self) -> dict[str, Any]:
        return {"peak_memory_bytes": peak_memory(self._step.device)}


def adamw(parameters: Iterable[Any], settings: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW with the settings of ours, at the peak of the learning rate."""
    return torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def torch_device(on: Device) -> str:
    """What torch calls a device.

    Raises:
        InputError: torch sees none, or does not run there.
    """
    if on == "cpu":
        return "cpu"
    if on == "gpu" and torch.cuda.is_available():
        return "cuda"
    raise InputError(
        f"--against torch: torch {torch.__version__} sees no {on}: "
        + ("install a build of it for CUDA" if on == "gpu" else "leave --against away")
    )


def wait_for(device: str) -> None:
    """Until all is computed that was asked for."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_memory(device: str) -> int:
    """The most memory that torch has held so far on the device, or this process on a CPU."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else peak_main_memory()
