"""Checkpoints that are changed on the disk, and what loading them says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model import InputError


def edit_tensors(folder: Path, edit: Callable[[dict[str, np.ndarray]], Any]) -> None:
    """Rewrites the weights after `edit` changed the dictionary in place, or gave another."""
    tensors = load_file(folder / "model.safetensors")
    edited = edit(tensors)
    save_file(tensors if edited is None else edited, folder / "model.safetensors")


@contextmanager
def fails(*messages: str) -> Iterator[None]:
    """One sentence, in one line, with all of these in it."""
    with pytest.raises(InputError) as caught:
        yield
    for message in messages:
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)
