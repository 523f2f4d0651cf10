"""Training in torch as its users write it, without tuning: what the loops beside ours share.

Eager, with scaled dot-product attention and the fused AdamW. Importing this needs the extra
`oracle`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from eval.timing.device import Device
from eval.timing.peak import peak_main_memory
from model.errors import InputError
from train.update.optimizer import OptimizerConfig


class TorchTraining:
    """Models of transformers on a device, and updates of one of them.

    Args:
        settings: of our optimizer; the learning rate stays at its peak.
        autocast: matrix products in bfloat16.
        on: where.

    Raises:
        InputError: torch sees no such device.
    """

    model: Any
    """The model that learns."""
    optimizer: torch.optim.Optimizer

    def __init__(self, settings: OptimizerConfig, *, autocast: bool, on: Device):
        self.settings, self.autocast, self.device = settings, autocast, torch_device(on)
        disable_progress_bar()  # that of loading weights

    def load(self, architecture: Any, folder: Path) -> Any:
        """The model in a folder, in float32 on the device."""
        model = architecture.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa"
        )
        return model.to(self.device)

    def learn(self, model: Any, parameters: Iterable[Any]) -> None:
        """Makes a model the one that learns, with AdamW for its (groups of) parameters."""
        self.model = model.train()
        self.optimizer = torch.optim.AdamW(
            parameters,
            lr=self.settings.learning_rate,
            betas=(self.settings.beta1, self.settings.beta2),
            eps=self.settings.epsilon,
            weight_decay=self.settings.weight_decay,
            fused=True,
        )

    def update(self, loss_of: Callable[..., torch.Tensor], *arguments: Any) -> float:
        """Makes one update of a loss of these arguments; returns the loss before it."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
            loss = loss_of(*arguments)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        return loss.item()

    def wait(self) -> None:
        """Waits until all is computed."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def peak_memory(self) -> int:
        """The most bytes held so far: by torch on its device, or by this process on a CPU."""
        cuda = self.device == "cuda"
        return torch.cuda.max_memory_allocated() if cuda else peak_main_memory()


def torch_device(on: Device) -> str:
    """The name of a device in torch.

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
