"""A run that is killed, and resumed by other devices and processes: the same losses."""

import random
import signal
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from tests import processes
from tests.train.command.test_processes import all_ended_well, same_numbers
from tests.trial.counting import Attempt
from tests.trial.loops import home

LAYOUTS = ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (4, 1))
"""Processes, and the devices that each has."""


def devices(chance: random.Random, number: int) -> Iterator[Attempt]:
    for _ in range(number):
        before, after = chance.sample(LAYOUTS, 2)
        orders = {"process": chance.randrange(before[0]), "step": chance.randrange(1, 20)}
        first, second = (f"{count} x {each} devices" for count, each in (before, after))
        name = f"train.pretrain on {first}, {orders} killed, then on {second}"
        yield Attempt(name, partial(same_losses, before, after, orders))


@cache
def one_device() -> Path:
    """The folder whose run `one` is that of one device."""
    all_ended_well(processes.run(home(), 1, 1, output="one"))
    return home()


def same_losses(
    before: tuple[int, int], after: tuple[int, int], orders: dict[str, int], folder: Path
) -> None:
    """Those of one device to a relative 1e-6; who is left alone says so in one sentence."""
    output = str(folder / "run")
    killed = {**orders, "signal": signal.SIGKILL, "pause": 0.1}
    for index, end in enumerate(processes.run(one_device(), *before, output=output, **killed)):
        if index == orders["process"]:
            continue
        sentences = [line for line in end.errors.splitlines() if line.startswith("error: ")]
        assert end.status == 3 and len(sentences) == 1, end.errors
        assert "has stopped because another one ended" in sentences[0], end.errors
        assert "Traceback" not in end.errors, end.errors
    all_ended_well(processes.run(one_device(), *after, output=output))
    same_numbers(one_device(), output)
