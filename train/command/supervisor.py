"""Joining the processes of a run: each is watched by the one that started it.

They are joined before JAX looks for devices; from then on `jax.devices()` are those of all.

JAX ends a process that has lost the others from within, by an abort with a dump of its stack that
Python cannot catch. So the command watches a process of its own, which does the work, and says in
one sentence what became of it.
"""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import jax

from model.errors import InputError
from train.command.processes import A_WEEK, JOIN_SECONDS, VARIABLES, Hosts, find_hosts, join_seconds

WATCHED = "DISTILBERT_FLAX_WATCHED"  # set for the process that does the work
HEARTBEAT_SECONDS = 30  # without a sign of life for so long a process counts as dead
LOST = 3  # exit status of a process that has lost the others

# How JAX's own account begins, and how it says that the process will be ended for it.
_JAX_SPEAKS = re.compile(r"[WEF]\d{4} .*(coordination_service|preemption_sync|client\.h)")
_SIGNAL_CAME = re.compile(r"W\d{4} .*preemption_notifier")  # the loop says it in a sentence
_LOST_A_PARTNER = re.compile(r"gloo|nccl|connection|coordination|UNAVAILABLE", re.IGNORECASE)
_JAX_ENDS = "JAX distributed service detected fatal errors"


def on_all_hosts(run: Callable[[], int]) -> int:
    """Runs `run` on what all hosts have together; returns its exit status, or that of a loss.

    Raises:
        InputError: what the environment says of the hosts makes no sense.
    """
    if not {"-h", "--help"}.isdisjoint(sys.argv[1:]):  # who asks for help waits for nobody
        return run()
    hosts = find_hosts()
    if hosts is None:
        return run()
    if WATCHED not in os.environ:
        return _watch(hosts)
    _die_with_parent()
    _join(hosts)
    try:
        status = run()
    except jax.errors.JaxRuntimeError as error:
        if not _LOST_A_PARTNER.search(str(error)):
            _show(error)
            _leave_at_once(1)
        _leave_at_once(LOST)
    except SystemExit as done:  # of the command line's parser
        status = done.code if isinstance(done.code, int) else 1
    except BaseException as error:
        _show(error)
        _leave_at_once(1)
    if status not in (0, 128 + signal.SIGTERM):  # the others do not know of it
        _leave_at_once(status)
    jax.distributed.shutdown()
    return status


def _watch(hosts: Hosts) -> int:
    """Does the work in a process of its own, passes on what that says, and explains its end."""
    joined, account = False, []
    with subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env={**os.environ, WATCHED: "1"},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as work:
        signal.signal(signal.SIGTERM, lambda number, frame: work.send_signal(number))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both
        for line in work.stderr or ():
            joined = joined or line.startswith(_joined(hosts))
            if account or _JAX_SPEAKS.match(line):
                account.append(line)
            elif not _SIGNAL_CAME.match(line):
                sys.stderr.write(line)
                sys.stderr.flush()
    status = work.returncode
    lost = status == LOST or any(_JAX_ENDS in line for line in account)
    if lost and not joined:
        print(_not_all(hosts), file=sys.stderr)
        return LOST
    if lost:
        print(
            f"error: {hosts} has stopped because another one ended or cannot be reached: its "
            "output says why; once that is mended, the same command on all hosts goes on from the "
            "last checkpoint",
            file=sys.stderr,
        )
        return LOST
    if status < 0:
        sys.stderr.writelines(account)
        name = signal.Signals(-status).name
        print(f"error: {hosts} was ended by {name}, the others stop too", file=sys.stderr)
        return 128 - status
    if status == 1:
        sys.stderr.writelines(account)
    return status


def _joined(hosts: Hosts) -> str:
    return f"{hosts} has joined the others"


def _not_all(hosts: Hosts) -> str:
    return (
        f"error: {hosts} has not found the others at {hosts.coordinator} within {join_seconds()} "
        "seconds: start the same command on every host, each as a process of its own number "
        f"({JOIN_SECONDS} sets the limit)"
    )


def _die_with_parent() -> None:
    """The work ends with what watches it, however that ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _join(hosts: Hosts) -> None:
    limit = join_seconds()
    if hosts.index == 0:
        _check_port(hosts)
    else:
        _wait_for_coordinator(hosts, time.monotonic() + limit)
    jax.distributed.initialize(
        hosts.coordinator,
        hosts.count,
        hosts.index,
        initialization_timeout=limit,
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=A_WEEK,
    )
    print(_joined(hosts), file=sys.stderr, flush=True)
    if hosts.index > 0:  # what a run says it says once
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _check_port(hosts: Hosts) -> None:
    """JAX would end process 0 by a segmentation fault where something else listens there."""
    port = int(hosts.coordinator.rsplit(":", 1)[1])
    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("", port))
    except OSError as error:
        raise InputError(
            f"port {port} cannot be had on this host ({error.strerror}): give a free one in "
            f"{VARIABLES[0]}, the same on all hosts"
        ) from error


def _wait_for_coordinator(hosts: Hosts, deadline: float) -> None:
    host, port = hosts.coordinator.rsplit(":", 1)
    while True:
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return
        if time.monotonic() > deadline:
            raise InputError(
                f"no coordinator answers at {hosts.coordinator} within {join_seconds()} seconds: "
                f"start the same command as process 0 on {host}, and see that this host "
                f"({hosts}) reaches port {port} there ({JOIN_SECONDS} sets the limit)"
            )
        time.sleep(0.5)


def _show(error: BaseException) -> None:
    sys.excepthook(type(error), error, error.__traceback__)


def _leave_at_once(status: int) -> NoReturn:
    """Ends the process without waiting for the others, as they may be gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
