"""Errors that Orbax logs, before they reach us, in every thread and task that they pass.

They are kept back until it is known whether a sentence is printed for the user.
"""

import atexit
import logging
import os
import re
import sys
from typing import Any

# Orbax tells every step of its work; a user wants to hear of failures.
logging.getLogger("absl").setLevel(logging.ERROR)

_kept: list[tuple[logging.LogRecord, BaseException]] = []
_reported: BaseException | None = None


def release(reported: BaseException | None = None) -> None:
    """Logs what was kept back and is news beside `reported`, an error that the user sees.

    News are all errors but this one, and those of a disk that refused other files too. Until the
    next call only what is news is kept.
    """
    global _reported
    _reported = reported
    for record, error in _kept:
        if _is_news(error):
            logging.getLogger(record.name).callHandlers(record)
    _kept.clear()


def _is_news(error: BaseException) -> bool:
    if _reported is None:
        return True
    return error is not _reported and not (disk_refusal(_reported) and disk_refusal(error))


def disk_refusal(error: BaseException) -> str | None:
    """The system's words for an error of the disk, of Python or of tensorstore."""
    number = error.errno if isinstance(error, OSError) else None
    if found := re.search(r"os_error_code='?(\d+)", str(error)):
        number = int(found[1])
    return os.strerror(number) if number else None


def _keep(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if error is None or (record.name == "asyncio" and "orbax" not in record.getMessage()):
        return True
    if _is_news(error):
        _kept.append((record, error))
    return False


for _name in ("absl", "asyncio"):
    logging.getLogger(_name).addFilter(_keep)
atexit.register(lambda: release(_reported))  # some tasks end late


def _without_late_reports(hook: Any) -> Any:
    """A hook that hides what reads and writes print which end after the first of them has failed.

    Orbax has then closed the event loop to which they report.
    """

    def shorter(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return shorter


sys.unraisablehook = _without_late_reports(sys.unraisablehook)
