"""The processes of a run: finding them, joining them, and waiting for each other.

A run over several hosts is the same command on each of them; `supervisor.py` watches each.
"""

import itertools
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import jax

from model.errors import InputError

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
JOIN_SECONDS = "DISTILBERT_FLAX_JOIN_SECONDS"
HEARTBEAT_SECONDS = 30  # a process that is silent for so long counts as dead
A_WEEK = 7 * 24 * 3600  # limit for process 0 to prepare or write while the others wait


@dataclass(frozen=True)
class Cluster:
    """The processes of a run, as one of them sees it."""

    coordinator: str
    """Host and port of process 0, where all processes join."""
    count: int
    index: int

    def __str__(self) -> str:
        return f"process {self.index} of {self.count}"


def find_cluster() -> Cluster | None:
    """The cluster of our variables, or of a TPU slice, Slurm or Open MPI; None for one process.

    Raises:
        InputError: the variables are incomplete, or no numbers.
    """
    given = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    if len(given) == len(VARIABLES):
        address, count, index = given.values()
        _check_address(address)
        if not count.isdigit() or not index.isdigit() or int(index) >= int(count):
            raise InputError(
                f"{VARIABLES[1]} is {count!r} and {VARIABLES[2]} {index!r}: the second should be a "
                "number from 0 on, below the first"
            )
        return Cluster(address, int(count), int(index)) if int(count) > 1 else None
    # Not public; but jax.distributed.initialize, which is, joins what it finds, and the supervisor
    # and the commands for one process have to know before.
    from jax._src import clusters

    known = (e for e in clusters.ClusterEnv._cluster_types if not e.opt_in_only_method)
    found = next((environment for environment in known if environment.is_env_present()), None)
    # A cluster of JAX's knows the numbers; the address may be another.
    if given and (found is None or tuple(given) != VARIABLES[:1]):
        missing = [name for name in VARIABLES if name not in given]
        raise InputError(
            f"{' and '.join(given)} without {' and '.join(missing)}: set all three, on every host, "
            "or none"
        )
    if found is None or found.get_process_count() == 1:
        return None
    port = os.environ.get("JAX_COORDINATOR_PORT")
    address = given.get(VARIABLES[0]) or found.get_coordinator_address(join_seconds(), port)
    _check_address(address)
    return Cluster(address, found.get_process_count(), found.get_process_id())


def _check_address(address: str) -> None:
    port = re.fullmatch(r".+:(\d{1,5})", address)
    if not port or not 0 < int(port[1]) < 2**16:
        raise InputError(f"{VARIABLES[0]} is {address!r}, and should be HOST:PORT of process 0")


def check_alone(command: str) -> None:
    """Raises InputError where `command`, which is for one process, is started as one of several."""
    if (cluster := find_cluster()) is not None:
        raise InputError(
            f"{command} runs in one process, and this is {cluster}: start it once, on one machine"
        )


def join_seconds() -> int:
    """The seconds that the processes of a run wait for each other at its start."""
    given = os.environ.get(JOIN_SECONDS, "300")
    if not given.isdigit() or int(given) < 1:
        raise InputError(f"{JOIN_SECONDS} is {given!r}, and should be a number of seconds")
    return int(given)


def join(cluster: Cluster) -> None:
    """Joins the processes; from then on `jax.devices()` are those of all.

    JAX aborts the process if the others do not come in time.

    Raises:
        InputError: something else uses the port of process 0.
    """
    if cluster.index == 0:  # which JAX would end by a segmentation fault if the port was taken
        port = int(cluster.coordinator.rsplit(":", 1)[1])
        try:
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(("", port))
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used on this host ({error.strerror}): give a free one in "
                f"{VARIABLES[0]}, the same on all hosts"
            ) from error
    jax.distributed.initialize(
        cluster.coordinator,
        cluster.count,
        cluster.index,
        initialization_timeout=join_seconds(),
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=A_WEEK,
    )


def is_first() -> bool:
    """True in the one process that writes a run's files and messages."""
    return jax.process_index() == 0


@contextmanager
def first_before_others() -> Iterator[None]:
    """Process 0 goes through the block while the others wait; they find what it has made."""
    if not is_first():
        _meet()
    yield
    if is_first():
        _meet()


_meetings = itertools.count()


def _meet() -> None:
    """Waits until every process is here."""
    from orbax.checkpoint import multihost  # slow to import, and not every command needs it

    # With `processes` this is a barrier of JAX's service; without, the devices would spin at one.
    multihost.sync_global_processes(
        f"distilbert-flax-{next(_meetings)}",
        timeout=A_WEEK,
        processes=set(range(jax.process_count())),
    )
