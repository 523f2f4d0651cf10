"""Errors that Orbax logs, before they reach us, in every thread that they pass.

They are kept back until it is known whether a sentence tells the user.
"""

import logging
import os
import re
import sys
from typing import Any

# Orbax tells every step of its work; a user wants to hear of failures.
_ORBAX = logging.getLogger("absl")
_ORBAX.setLevel(logging.ERROR)

_kept: list[tuple[logging.LogRecord, BaseException]] = []


def release(told: BaseException | None = None) -> None:
    """Logs what was kept back and is no news after `told`, an error that the user is told of.

    News are all errors but this one, and those of a disk that refused to take other files too.
    """
    for record, error in _kept:
        if error is not told and not (told and disk_refusal(told) and disk_refusal(error)):
            _ORBAX.callHandlers(record)
    _kept.clear()


def disk_refusal(error: BaseException) -> str | None:
    """The system's words for an error of the disk, of Python or of tensorstore."""
    number = error.errno if isinstance(error, OSError) else None
    if found := re.search(r"os_error_code='?(\d+)", str(error)):
        number = int(found[1])
    return os.strerror(number) if number else None


def _keep(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        _kept.append((record, error))
    return error is None


_ORBAX.addFilter(_keep)


def _without_late_reports(hook: Any) -> Any:
    """A hook that hides what reads and writes print which end after the first of them has failed.

    Orbax has then closed the event loop to which they report.
    """

    def shorter(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return shorter


sys.unraisablehook = _without_late_reports(sys.unraisablehook)
