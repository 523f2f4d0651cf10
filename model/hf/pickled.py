"""Weights in torch's files, `pytorch_model.bin`; only what holds tensors is unpickled, no code."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import InputError

# Where training scripts put the weights beside an epoch, an optimizer's state and the like.
_WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_pickled(file: Path) -> dict[str, np.ndarray]:
    """All tensors of a file, in float32.

    Raises:
        InputError: there is no torch, or the file holds code or something else than named tensors.
    """
    try:
        import torch
    except ImportError:
        raise InputError(
            f"{file} needs torch to be read: pip install -e '.[oracle]', or convert it to "
            "model.safetensors where torch and transformers are installed"
        ) from None
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise InputError(
                f"{file} holds a pickled {found[1]}, which is code and not only tensors: where it "
                "can be loaded, save the model's weights alone, torch.save(model.state_dict(), ...)"
            ) from None
        raise
    if not isinstance(content, dict):
        raise InputError(f"{file} holds {_shown(content)}, and should hold named tensors")
    inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)]
    state = inner[0] if inner else content
    if wrong := [name for name, value in state.items() if not isinstance(value, torch.Tensor)]:
        raise InputError(
            f"{file} holds {_shown(state[wrong[0]])} under {wrong[0]!r:.60}, and should hold named "
            f"tensors, or these under one of {', '.join(_WRAPPERS)}"
        )
    return {name: tensor.float().numpy() for name, tensor in state.items()}


def _shown(value: Any) -> str:
    return f"a {type(value).__name__}"
