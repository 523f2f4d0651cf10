"""The same update of distillation in PyTorch with Hugging Face's models, for `eval.speed`.

Eager, with scaled dot-product attention and the fused AdamW: what its users get without tuning.
Importing this needs the extra `oracle`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from transformers import BertForMaskedLM, DistilBertForMaskedLM
from transformers.utils.logging import disable_progress_bar

from train.numbers import ends
from train.optimizer import OptimizerConfig
from train.step import Batch
from train.terms import DistillationLoss


class Tensors(NamedTuple):
    """A masked batch. Positions are indices into its rows x length tokens, without padding."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    attended: torch.Tensor | None
    """None where all are attended: then nothing need be picked out, and copied."""
    predicted: torch.Tensor
    labels: torch.Tensor


def as_tensors(masked: Batch) -> Tensors:
    """What `mask_tokens` gave for one micro-batch."""
    arrays = {name: np.asarray(array)[0] for name, array in masked.items()}
    ids, attended, valid = arrays["input_ids"], arrays["attention_mask"], arrays["valid"]
    groups = len(valid)
    first = np.arange(groups)[:, None] * (ids.size // groups)
    return Tensors(
        torch.tensor(ids, dtype=torch.long),
        torch.tensor(attended),
        None if attended.all() else torch.tensor(np.flatnonzero(attended)),
        torch.tensor((arrays["positions"] + first)[valid], dtype=torch.long),
        torch.tensor(arrays["labels"][valid], dtype=torch.long),
    )


class TorchStep:
    """Called again and again it trains the student.

    Args:
        folder: holds `teacher` and `student` as transformers reads them.
        loss: the weights of the triple loss and the temperature, all constant.
        optimizer: the settings of AdamW and the clip; the learning rate stays at its peak.
        autocast: matrix products in bfloat16.
    """

    def __init__(
        self, folder: Path, loss: DistillationLoss, optimizer: OptimizerConfig, *, autocast: bool
    ):
        self.clip_norm, self.autocast = optimizer.clip_norm, autocast
        self.ce, self.mlm, self.cos = (
            ends(term.weight)[0] for term in (loss.ce, loss.mlm, loss.cos)
        )
        self.temperature = ends(loss.ce.temperature)[0]
        disable_progress_bar()
        settings = {"dtype": torch.float32, "attn_implementation": "sdpa"}
        self.teacher = BertForMaskedLM.from_pretrained(folder / "teacher", **settings).eval()
        self.student = DistilBertForMaskedLM.from_pretrained(folder / "student", **settings).train()
        self.optimizer = torch.optim.AdamW(
            self.student.parameters(),
            lr=optimizer.learning_rate,
            betas=(optimizer.beta1, optimizer.beta2),
            eps=optimizer.epsilon,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )

    def __call__(self, batch: Tensors) -> float:
        """Makes one update; returns the loss before it."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            loss = self._triple_loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss.item()

    def _triple_loss(self, batch: Tensors) -> torch.Tensor:
        """As the original code computes it (`distiller.py`)."""
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        with torch.no_grad():
            teacher = self.teacher(**inputs, output_hidden_states=True)
        student = self.student(**inputs, output_hidden_states=True)

        def attended(values: torch.Tensor) -> torch.Tensor:
            flat = values.flatten(0, 1)
            return flat if batch.attended is None else flat[batch.attended]

        temperature = self.temperature
        kl = F.kl_div(
            F.log_softmax(attended(student.logits) / temperature, dim=-1),
            F.softmax(attended(teacher.logits) / temperature, dim=-1),
            reduction="batchmean",
        )
        masked_lm = F.cross_entropy(student.logits.flatten(0, 1)[batch.predicted], batch.labels)
        ours, theirs = attended(student.hidden_states[-1]), attended(teacher.hidden_states[-1])
        cosine = F.cosine_embedding_loss(ours, theirs, torch.ones(len(ours)))
        return self.ce * temperature**2 * kl + self.mlm * masked_lm + self.cos * cosine
