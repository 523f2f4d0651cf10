"""The supervisor of a process that runs together with others.

JAX aborts a process that has lost the others, with a dump of its stack that Python cannot prevent.
So the command works in a child process, whose supervisor judges by its exit status and explains it
in one sentence. Python's own messages reach the user as they come; what native code writes to
stderr, such as that dump, is kept until the end, and shown unless the end is explained.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

from model.errors import InputError
from model.terminal import say
from train.command.processes import JOIN_SECONDS, Cluster, find_cluster, join, join_seconds
from train.command.signals import listening

MESSAGES = "DISTILBERT_FLAX_MESSAGES"  # set for the child: the file descriptor of the user's stderr
LOST = 3  # exit status of a process that has lost the others

_LOST_A_PEER = re.compile(r"gloo|nccl|connection|coordination|UNAVAILABLE", re.IGNORECASE)
_ABORTED_BY_JAX = "JAX distributed service detected fatal errors"  # other aborts are crashes


def on_all_hosts(run: Callable[[], int]) -> int:
    """Runs `run` on the devices of all hosts; returns its exit status, or `LOST`.

    Raises:
        InputError: the environment describes no possible cluster, or the port is taken.
    """
    if not {"-h", "--help"}.isdisjoint(sys.argv[1:]):  # help waits for nobody
        return run()
    cluster = find_cluster()
    if cluster is None:
        return run()
    if MESSAGES not in os.environ:
        return _supervise(cluster)
    return _work(cluster, run)


def _supervise(cluster: Cluster) -> int:
    """Runs this very command in a child process and explains its end."""
    messages = os.dup(2)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as native,
        subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, MESSAGES: str(messages)},
            stderr=native,
            pass_fds=(messages,),
        ) as work,
    ):
        signal.signal(signal.SIGTERM, lambda number, _: work.send_signal(number))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both
        status = work.wait()
        native.seek(0)
        dump = native.read()
    if status == LOST or (status == -signal.SIGABRT and _ABORTED_BY_JAX in dump):
        loss = (
            f"has not found the others at {cluster.coordinator} within {join_seconds()} seconds: "
            "start the same command on every host, each under its own number, and check that every "
            f"host reaches this address, which is that of process 0 ({JOIN_SECONDS} sets the limit)"
        )
        if _joined(cluster) in dump:
            loss = (
                "has stopped because another one ended or cannot be reached: its output says why; "
                "once that is fixed, the same command on all hosts resumes from the last checkpoint"
            )
        say(f"error: {cluster} {loss}", error=True)
        return LOST
    if status < 0 or status == 1:
        sys.stderr.write(dump)
    if status < 0:
        name = signal.Signals(-status).name
        say(f"error: {cluster} was ended by {name}, the others stop too", error=True)
        return 128 - status
    return status


def _joined(cluster: Cluster) -> str:
    return f"{cluster} has joined the others"


def _work(cluster: Cluster, run: Callable[[], int]) -> int:
    """Joins the others and runs `run`."""
    if sys.platform == "linux":  # the work ends with its supervisor, however that ends
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    sys.stderr = os.fdopen(int(os.environ[MESSAGES]), "w", buffering=1, errors="backslashreplace")
    together = False
    try:
        join(cluster)
        say(_joined(cluster), error=True)
        print(_joined(cluster), file=sys.__stderr__, flush=True)  # for the supervisor
        if cluster.index > 0:  # what a run prints it prints once
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        with listening() as listener:
            status = run()
        together = listener.agreed
    except InputError:
        raise
    except SystemExit as done:  # of the command line's parser
        status = done.code if isinstance(done.code, int) else 1
    except BaseException as error:
        lost = isinstance(error, jax.errors.JaxRuntimeError) and _LOST_A_PEER.search(str(error))
        status = LOST if lost else 1
        if not lost:
            sys.excepthook(type(error), error, error.__traceback__)
    if status != 0 and not together:  # the others do not know of this end: do not wait for them
        sys.stdout.flush()
        os._exit(status)
    jax.distributed.shutdown()
    return status
