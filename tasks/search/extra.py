"""Libraries of the extra `search`, which only BM25 and the metrics of retrieval need."""

import importlib
from types import ModuleType

from model.errors import InputError


def library(name: str, what: str) -> ModuleType:
    """A library by the name that it is imported by.

    Raises:
        InputError: `what` was asked for and the library is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"{what} needs {name}, which is not installed: "
            "pip install -c constraints.txt -e '.[search]'"
        ) from None
