"""Numbers out of range, and names that are none: refused in one sentence, before any work."""

import math
import random
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from tests.hostile import HOSTILE
from tests.test_settings import COMMANDS, Leaf, flags, is_refused, leaves
from tests.trial.counting import Attempt
from train.ablate import ablate, chosen_study
from train.command.cli import choose, main
from train.distill import distill
from train.finetune import chosen_task, finetune
from train.pretrain import pretrain
from train.recipes import DISTILL, PRETRAIN

# Words with which no command comes to any work, whatever else is in them.
NOWHERE = {
    "train.pretrain": ("tiny", "--data.corpus", "nowhere.txt"),
    "train.distill": ("tiny", "--data.corpus", "nowhere.txt"),
    "train.finetune": ("classification", "--data.train", "nowhere.csv"),
    "train.ablate": ("objectives", "--data.corpus", "nowhere.txt"),
}
STARTS: dict[str, Callable[[list[str]], object]] = {
    "train.pretrain": lambda words: pretrain(choose(PRETRAIN, "train.pretrain", words)),
    "train.distill": lambda words: distill(choose(DISTILL, "train.distill", words)),
    "train.finetune": lambda words: finetune(chosen_task(words)),
    "train.ablate": lambda words: ablate(chosen_study(words)),
}
NAMES = (
    *("", " ", ".", "there.txt", "there.txt/below", "/dev/null", "~nobody-of-this-name/x"),
    *("a\0b", "a\udcff", "é" * 300, "a/" * 3000, "\x1b[2J", HOSTILE.replace("\n", " ")),
    *("gs://", "gs:", "s3://bucket/run", "http://127.0.0.1:9/x", "owner/name@x"),
)  # fmt: skip


def settings(chance: random.Random, number: int) -> Iterator[Attempt]:
    """Three in four are numbers, of all commands; the others names, of the four loops."""
    for index in range(number):
        if index % 4:
            command, leaf = chance.choice(numeric_settings())
            value = chance.choice(leaf.shapes(out_of_range(leaf, chance)))
            name = f"{command}: {'.'.join(leaf.names)} = {value!r}"
            yield Attempt(name, partial(number_is_refused, command, leaf, value))
        else:
            command, flag = chance.choice(named_settings())
            words = [*NOWHERE[command], flag, chance.choice(NAMES)]
            yield Attempt(f"{command} {words}", partial(ends_in_a_sentence, command, words))


@cache
def numeric_settings() -> list[tuple[str, Leaf]]:
    """The commands with their numbers that have a range."""
    return [
        (command, leaf)
        for command, (config, _) in COMMANDS.items()
        for leaf in leaves(config)
        if leaf.holds(int, float)
    ]


@cache
def named_settings() -> list[tuple[str, str]]:
    """The loops with their flags that take texts or paths."""
    return [
        (command, flag)
        for command in STARTS
        for leaf in leaves(COMMANDS[command][0])
        for flag in [f"--{'.'.join(leaf.names)}".replace("base.", "").replace("_", "-")]
        if leaf.holds(str, Path) and flag in flags(command) - {*NOWHERE[command]}
    ]


def out_of_range(leaf: Leaf, chance: random.Random) -> int | float:
    [limits] = leaf.ranges
    far = 10 ** chance.uniform(-3, 25)
    if leaf.holds(int, float) is int:
        return chance.choice([int(limits.most + 1 + far), int(limits.least - 1 - far)])
    beyond = [limits.most + far, limits.least - far, math.nan, math.inf, -math.inf]
    return chance.choice([*beyond, *([float(limits.least)] if limits.above else [])])


def number_is_refused(command: str, leaf: Leaf, value: Any, folder: Path) -> None:
    with chdir(folder):
        is_refused(command, leaf, value)
    assert not [*folder.iterdir()], "something was written"


def ends_in_a_sentence(command: str, words: list[str], folder: Path) -> None:
    """Also where the name is possible, as none of these commands has anything to read."""
    (folder / "there.txt").touch()
    argv = mock.patch.object(sys, "argv", [command, *words])
    with chdir(folder), argv, redirect_stdout(StringIO()), redirect_stderr(StringIO()) as errors:
        try:
            main(lambda: STARTS[command](words))
        except SystemExit as end:
            status = end.code
    told = errors.getvalue()
    # tyro frames what is refused while the settings are read.
    sentence = re.fullmatch(r"error: .*\n", told) or " Value error " in told
    assert status == 2 and sentence, f"status {status}: {told}"
    assert [*folder.iterdir()] == [folder / "there.txt"], "something was written"
