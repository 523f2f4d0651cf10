"""Libraries of the extras in pyproject.toml, which only some commands need."""

import importlib
from types import ModuleType

from model.errors import InputError


def library(name: str, extra: str, what: str) -> ModuleType:
    """A library by the name that it is imported by; `extra` installs it.

    Raises:
        InputError: `what` was asked for and the library is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"{what} needs {name.partition('.')[0]}, which is not installed: "
            f"pip install -c constraints.txt -e '.[{extra}]'"
        ) from None
