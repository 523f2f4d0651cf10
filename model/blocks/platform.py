"""The platform that a program is made for: most often, but not always, that of this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax

_made_for: ContextVar[str | None] = ContextVar("made_for", default=None)


@contextmanager
def made_for(platform: str) -> Iterator[None]:
    """Says for which platform code traced inside is compiled, such as "tpu" on a machine without.

    What the program computes does not depend on it, only how.
    """
    token = _made_for.set(platform)
    try:
        yield
    finally:
        _made_for.reset(token)


def platform() -> str:
    """The platform of what is being traced: "cpu", "gpu" or "tpu"."""
    return _made_for.get() or default_device().platform


def default_device() -> Any:
    """The device on which JAX computes unless it is told otherwise."""
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.devices(chosen)[0] if isinstance(chosen, str | None) else chosen
