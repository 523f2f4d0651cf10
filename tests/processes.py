"""Runs of several processes on this machine, which find each other on its loopback."""

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# What every process runs: the tiny pretraining run without dropout. It keeps which sequences it has
# read, and sends itself a signal where it is asked to.
COMMAND = """
import json, os, signal, sys, threading, time
from dataclasses import replace
from pathlib import Path

home, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
index = int(os.environ.get("JAX_PROCESS_ID", "0"))

from data import prepare
from data.batches import Batches
from tests import runs
from train.command.cli import main
from train.config import RunConfig
from train.loop.heldout import HeldOut
from train.loop.metric_log import MetricLog
from train.pretrain import pretrain

config = runs.pretrain_config(
    home,
    output=home / orders["output"],
    model=runs.MODEL.replace(hidden_size=32, hidden_dropout=0.0, attention_dropout=0.0),
    batch_size=16,
    steps=orders.get("steps", 20),
    run=RunConfig(checkpoint_every=5, parallel=orders.get("parallel", "jit")),
)
reads = {}
read = Batches.batch

def batch(self, step):
    made = read(self, step)
    reads[step] = dict(zip(made["row"][0].tolist(), made["input_ids"][0].tolist()))
    return made

Batches.batch = batch

tokenise = prepare.tokenise

def counted(*arguments):
    with (home / "encoded").open("a") as file:
        file.write(f"{index}\\n")
    return tokenise(*arguments)

prepare.tokenise = counted

def send(log):
    write = log.step
    def step(self, now, metrics, tokens, **more):
        write(self, now, metrics, tokens, **more)
        if orders.get("process") == index and now == orders.get("step"):
            os.kill(os.getpid(), orders["signal"])
        time.sleep(orders.get("pause", 0))
    log.step = step

send(MetricLog)

batches, evaluations = HeldOut.batches, iter(range(100))

def heldout(self):
    asked = next(evaluations) == orders.get("evaluation")
    for place, made in enumerate(batches(self)):
        if asked and place == 1:
            if orders["process"] == index:
                os.kill(os.getpid(), orders["signal"])
            time.sleep(3)  # JAX looks for a signal every second
        yield made

HeldOut.batches = heldout

def run():
    try:
        pretrain(config)
    finally:
        (home / f"{orders['output']}-read-{index}.json").write_text(json.dumps(reads))

main(run, hosts=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a process of a run ended, and what it printed."""

    status: int
    output: str
    errors: str


def run(home: Path, count: int, devices: int, **orders: Any) -> list[Ended]:
    """Runs `count` processes with `devices` each in `home`; how each of them ended."""
    port = free_port()
    started = [start(home, index, count, devices, port, **orders) for index in range(count)]
    return [ended(process) for process in started]


def run_command(arguments: list[str], count: int, devices: int, folder: Path) -> list[Ended]:
    """Runs a command of this repository in `folder` by several processes; how each ended."""
    port = free_port()
    started = [launched(arguments, i, count, devices, port, folder) for i in range(count)]
    return [ended(process) for process in started]


def start(
    home: Path, index: int, count: int, devices: int, port: int, **orders: Any
) -> subprocess.Popen[str]:
    return launched(["-c", COMMAND, str(home), json.dumps(orders)], index, count, devices, port)


def launched(
    arguments: list[str], index: int, count: int, devices: int, port: int, folder: Path = ROOT
) -> subprocess.Popen[str]:
    flags = re.sub(r"(device_count)=\d+", rf"\1={devices}", os.environ["XLA_FLAGS"])
    joined = {
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": str(count),
        "JAX_PROCESS_ID": str(index),
    }
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "PYTHONWARNINGS": "default"}
        | joined,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], timeout: float = 240) -> Ended:
    output, errors = process.communicate(timeout=timeout)
    return Ended(process.returncode, output, errors)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
