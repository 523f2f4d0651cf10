"""Errors that Orbax logs in its threads: shown unless a sentence says the same."""

import errno
import logging
import os

import pytest

from train.loop.orbax_errors import disk_refusal, release

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
FULL_FOR_TENSORSTORE = ValueError(
    f"RESOURCE_EXHAUSTED: Error writing {'folder/' * 99}: Failed to open: No space left on device "
    "[os_error_code='28']): more"
)
BROKEN = TypeError("an array without a shape")


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    release()


def log(*errors: Exception) -> None:
    """What Orbax does when a thread of its fails."""
    for error in errors:
        logging.getLogger("absl").error("thread failed: %s", error, exc_info=error)


def test_what_is_reported_is_not_logged_too(caplog):
    log(FULL_FOR_TENSORSTORE, FULL, FULL_FOR_TENSORSTORE)
    release(FULL)
    log(BROKEN, BROKEN)
    release(BROKEN)
    assert caplog.messages == []


def test_what_is_not_reported_is_logged(caplog):
    log(FULL, BROKEN)
    assert caplog.messages == []
    release(FULL)
    assert caplog.messages == [f"thread failed: {BROKEN}"]
    for reported in (BROKEN, None):
        release()  # another checkpoint was saved
        log(FULL)
        release(reported)
    assert caplog.messages[1:] == [f"thread failed: {FULL}"] * 2


def test_late_errors_of_a_failure_that_was_reported_are_not_logged(caplog):
    release(FULL)
    log(FULL_FOR_TENSORSTORE, BROKEN)
    release(FULL)
    assert caplog.messages == [f"thread failed: {BROKEN}"]


def test_of_tasks_only_those_of_orbax_are_kept_back(caplog):
    for place in ("orbax/checkpoint/a.py", "notebook.py"):
        logging.getLogger("asyncio").error("Task of %s failed", place, exc_info=FULL)
    release(FULL)
    assert caplog.messages == ["Task of notebook.py failed"]


def test_an_error_in_words_is_logged_at_once(caplog):
    logging.getLogger("absl").error("the barrier timed out")
    assert caplog.messages == ["the barrier timed out"]


def test_a_refusal_of_the_disk_is_in_the_systems_words():
    assert disk_refusal(FULL) == disk_refusal(FULL_FOR_TENSORSTORE) == "No space left on device"
    assert disk_refusal(BROKEN) is None and disk_refusal(TimeoutError()) is None
