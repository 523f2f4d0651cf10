"""The processes of a run: which there are, which of them this is, and how they wait for each other.

A run over several hosts is the same command on each of them; `supervisor.py` joins them.
"""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import jax

from model.errors import InputError

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
JOIN_SECONDS = "DISTILBERT_FLAX_JOIN_SECONDS"
A_WEEK = 7 * 24 * 3600  # of preparing and writing, while the others wait


@dataclass(frozen=True)
class Hosts:
    """The processes of a run, as one of them sees it."""

    coordinator: str
    """Host and port of process 0."""
    count: int
    index: int

    def __str__(self) -> str:
        return f"process {self.index} of {self.count}"


def find_hosts() -> Hosts | None:
    """What the environment says: our variables, or what JAX knows of TPU slices, Slurm, Open MPI.

    None where the run has one process.

    Raises:
        InputError: the variables are not complete, or no numbers.
    """
    given = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    if len(given) == len(VARIABLES):
        return _given(*(given[name] for name in VARIABLES))
    from jax._src import clusters  # not public: only where several processes may be meant

    known = (e for e in clusters.ClusterEnv._cluster_types if not e.opt_in_only_method)
    cluster = next((environment for environment in known if environment.is_env_present()), None)
    # The address alone goes with a cluster's numbers.
    if given and (cluster is None or tuple(given) != VARIABLES[:1]):
        missing = [name for name in VARIABLES if name not in given]
        raise InputError(
            f"{' and '.join(given)} without {' and '.join(missing)}: set all three, on every host, "
            "or none"
        )
    if cluster is None or cluster.get_process_count() == 1:
        return None
    port = os.environ.get("JAX_COORDINATOR_PORT")
    address = given.get(VARIABLES[0]) or cluster.get_coordinator_address(join_seconds(), port)
    _check_address(address)
    return Hosts(address, cluster.get_process_count(), cluster.get_process_id())


def _given(address: str, count: str, index: str) -> Hosts | None:
    _check_address(address)
    if not count.isdigit() or not index.isdigit() or int(index) >= int(count):
        raise InputError(
            f"{VARIABLES[1]} is {count!r} and {VARIABLES[2]} {index!r}: the second should be a "
            "number from 0 on, below the first"
        )
    return Hosts(address, int(count), int(index)) if int(count) > 1 else None


def _check_address(address: str) -> None:
    port = re.fullmatch(r".+:(\d{1,5})", address)
    if not port or not 0 < int(port[1]) < 2**16:
        raise InputError(f"{VARIABLES[0]} is {address!r}, and should be HOST:PORT of process 0")


def check_alone(command: str) -> None:
    """Raises InputError where `command`, which is for one process, is started as one of several."""
    if (hosts := find_hosts()) is not None:
        raise InputError(
            f"{command} runs in one process, and this is {hosts}: start it once, on one machine"
        )


def join_seconds() -> int:
    """How long the processes of a run wait for each other at its start."""
    given = os.environ.get(JOIN_SECONDS, "300")
    if not given.isdigit() or int(given) < 1:
        raise InputError(f"{JOIN_SECONDS} is {given!r}, and should be a number of seconds")
    return int(given)


def is_first() -> bool:
    """Whether this process writes what a run writes once."""
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
    if jax.process_count() > 1:
        name = f"distilbert-flax-{next(_meetings)}"
        from jax._src import distributed  # not public either

        client = distributed.global_state.client
        assert client is not None
        client.wait_at_barrier(name, A_WEEK * 1000)
