"""Fine-tuning as transformers users write it: for `eval.against_torch` and `eval.speed`."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForSequenceClassification
from transformers.trainer_pt_utils import LengthGroupedSampler

from data.clock import seconds_since
from eval.timing.device import Device
from eval.timing.torch_training import TorchTraining
from tasks.buckets import BucketBatches
from tasks.windows import Windows
from train.update.optimizer import OptimizerConfig, learning_rate

NO_DECAY = ("bias", "LayerNorm.weight", "layer_norm.weight")


class TorchFinetune(TorchTraining):
    """A classifier or regressor of transformers, with AdamW, warm-up and decay, and a clip.

    Args:
        folder: holds the model before training.
        optimizer: the settings of ours.
        total_steps: over which the learning rate rises and falls.
        seed: of dropout.
        autocast: see `TorchTraining`.
        on: likewise.
    """

    def __init__(
        self,
        folder: Path,
        optimizer: OptimizerConfig,
        total_steps: int,
        *,
        seed: int = 0,
        autocast: bool = False,
        on: Device = "cpu",
    ):
        super().__init__(optimizer, autocast=autocast, on=on)
        torch.manual_seed(seed)
        model = self.load(AutoModelForSequenceClassification, folder)
        named = list(model.named_parameters())
        groups = [
            {"params": [p for n, p in named if not n.endswith(NO_DECAY)]},
            {"params": [p for n, p in named if n.endswith(NO_DECAY)], "weight_decay": 0.0},
        ]
        self.learn(model, groups)
        rate = learning_rate(optimizer, total_steps)
        self.schedule = LambdaLR(
            self.optimizer, lambda step: np.asarray(rate(step)).item() / optimizer.learning_rate
        )

    def train(self, batches: Iterable[dict[str, np.ndarray]]) -> Iterator[float]:
        """Makes an update on each batch, padded to its own longest text; yields the losses."""
        for batch in batches:
            loss = self.update(self._loss, *self._tensors(batch))
            self.schedule.step()
            yield loss

    def logits(self, windows: Windows, rows: int = 64) -> list[np.ndarray]:
        """The model's logits of every window, in their order."""
        self.model.eval()
        order = np.argsort(windows.lengths, kind="stable")
        result: list[Any] = [None] * len(windows)
        with torch.no_grad():
            for start in range(0, len(order), rows):
                members = order[start : start + rows]
                inputs, _ = self._tensors(
                    windows.gather(members, int(windows.lengths[members].max()))
                )
                for window, values in zip(members, self.model(**inputs).logits, strict=True):
                    result[window] = values.cpu().numpy()
        self.model.train()
        return result

    def _loss(self, inputs: dict[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        return self.model(**inputs, labels=labels).loss

    def _tensors(
        self, batch: dict[str, np.ndarray]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
        longest = int(batch["attention_mask"].sum(-1).max())
        names = ["input_ids", "attention_mask"]
        names += ["token_type_ids"] if self.model.config.model_type == "bert" else []
        inputs = {
            n: torch.tensor(batch[n][:, :longest], dtype=torch.long, device=self.device)
            for n in names
        }
        if "label" not in batch:
            return inputs, None
        label = torch.tensor(batch["label"], device=self.device)
        one_class = self.model.config.problem_type in (None, "single_label_classification")
        return inputs, label.long() if one_class else label.float()


def first_batches(source: BucketBatches, steps: int) -> Iterator[dict[str, np.ndarray]]:
    """The batches of the first updates without micro-batches, filler rows and needless padding."""
    for step in range(steps):
        batch = source.batch(step)
        flat = {name: array.reshape(-1, *array.shape[2:]) for name, array in batch.items()}
        valid = flat.pop("valid")
        yield {name: array[valid] for name, array in flat.items()}


def timed_losses(updates: Iterator[float]) -> tuple[list[float], float]:
    """The losses of all updates, and the time from the end of the first to that of the last."""
    losses = [next(updates)]
    start = time.perf_counter()
    losses += list(updates)
    return losses, seconds_since(start)


class TorchEpochs:
    """Epochs over texts in batches of like lengths, each padded to its longest text.

    The order is that of transformers' Trainer with `train_sampling_strategy="group_by_length"`.
    """

    def __init__(self, training: TorchFinetune, windows: Windows, rows: int):
        self._training, self._windows, self._rows = training, windows, rows
        self._order = LengthGroupedSampler(rows, lengths=windows.lengths.tolist())
        self._positions = 0

    def update(self) -> float:
        """An epoch."""
        self._positions = 0
        start = time.perf_counter()
        for _ in self._training.train(self._batches()):
            pass
        self._training.wait()
        return seconds_since(start)

    def facts(self) -> dict[str, Any]:
        return {
            "peak_memory_bytes": self._training.peak_memory(),
            "positions": self._positions,  # of the last epoch, padding included
        }

    def _batches(self) -> Iterator[dict[str, np.ndarray]]:
        order = np.array(list(self._order))
        for first in range(0, len(order), self._rows):
            members = order[first : first + self._rows]
            batch = self._windows.gather(members, int(self._windows.lengths[members].max()))
            self._positions += batch["input_ids"].size
            yield batch
