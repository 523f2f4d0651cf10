"""The peer that ours is measured against: Hugging Face's models in torch."""

import importlib.util

from model.errors import InputError


def check_torch(what: str) -> None:
    """Raises InputError where `what` is asked for, such as a flag, and torch is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        raise InputError(
            f"{what} needs torch and transformers, which are not installed: "
            "pip install -e '.[oracle]'"
        )
